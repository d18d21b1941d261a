/* Memory as files, which every process of a host can be given: what buffers are made of unless this is a guest. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int file_make(void *context, size_t size, bool is_writable, struct shared_memory *memory) {
  (void)context;
  return muntin__make_memory(size, is_writable, memory);
}

static int file_map(void *context, int fd, uint64_t offset, size_t size, int protection, void **mapping) {
  (void)context;
  void *found = mmap(NULL, size, protection, MAP_SHARED, fd, (off_t)offset);
  if (found == MAP_FAILED) return -errno;
  *mapping = found;
  return 0;
}

/* A page behind a file's end would end the program. */
static const char *lease_fault(const muntin_info *info, int fd) {
  struct stat status;
  bool is_file = info->memory_kind == MUNTIN_MEMORY_FILE;
  if (fstat(fd, &status) < 0) return "no such descriptor";
  if (is_file && !S_ISREG(status.st_mode)) return "not a memory file";
  if (is_file && !muntin__cannot_shrink(fd)) return "a memory file that can shrink";
  off_t size = is_file ? status.st_size : lseek(fd, 0, SEEK_END);
  /* The sum was checked when it was read. */
  return size < 0 || info->memory_offset + info->byte_count > (uint64_t)size ? "shorter than it says" : NULL;
}

static const char *offer_fault(void *context, const muntin_memory *memory, bool is_writable) {
  struct stat status;
  bool is_file = memory->kind == MUNTIN_MEMORY_FILE;
  (void)context;
  if (fstat(memory->fd, &status) < 0) return "no such descriptor";
  off_t size = is_file ? status.st_size : lseek(memory->fd, 0, SEEK_END);
  if (size < 0 || memory->byte_count > (uint64_t)size || memory->offset > (uint64_t)size - memory->byte_count) {
    return "the memory is shorter than it says";
  }
  if (!is_file) return NULL;
  if (!muntin__has_fixed_size(memory->fd)) return "not a memory file sealed with F_SEAL_SHRINK and F_SEAL_GROW";
  if (muntin__can_others_write(memory->fd)) return "other users can open it for writing: fchmod(fd, 0644)";
  int mode = fcntl(memory->fd, F_GETFL) & O_ACCMODE;
  return mode == (is_writable ? O_RDWR : O_RDONLY) ? NULL : "opened for other access than the offer says";
}

const struct memory_way muntin__files = {
    .make = file_make, .map = file_map, .lease_fault = lease_fault, .offer_fault = offer_fault};
