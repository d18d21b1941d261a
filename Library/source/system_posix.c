#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include "system.h"

#if !MUNTIN_SYSTEM_LINUX

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Here fences go through. */
int muntin__make_poller(void) { return -ENOSYS; }

int muntin__watch(int poller, int fd) {
  (void)poller;
  (void)fd;
  return -ENOSYS;
}

void muntin__unwatch(int poller, int fd) {
  (void)poller;
  (void)fd;
}

int muntin__random(void *bytes, size_t size) {
  int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  ssize_t count = read(fd, bytes, size);
  close(fd);
  return count == (ssize_t)size ? 0 : -EIO;
}

/* Two descriptors of a nameless memory file: nothing but the name makes a read-only one of it. */
static int open_twice(int *writable, int *read_only) {
  char name[32];
  uint64_t number;
  int error = muntin__random(&number, sizeof number);
  if (error < 0) return error;
  snprintf(name, sizeof name, "/muntin-%016llx", (unsigned long long)number);
  *writable = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (*writable < 0) return -errno;
  *read_only = shm_open(name, O_RDONLY, 0);
  error = *read_only < 0 ? -errno : 0;
  shm_unlink(name);
  if (error < 0) close(*writable);
  return error;
}

int muntin__make_memory(size_t size, bool is_writable, struct shared_memory *memory) {
  int writable = -1, read_only = -1;
  int error = open_twice(&writable, &read_only);
  if (error < 0) return error;
  void *pixels = MAP_FAILED;
  if (ftruncate(writable, (off_t)size) == 0) {
    pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, writable, 0);
  }
  if (pixels == MAP_FAILED) error = -errno;
  *memory = (struct shared_memory){pixels, is_writable ? writable : read_only};
  close(is_writable ? read_only : writable);
  if (error < 0) close(memory->fd);
  return error;
}

/* There are no seals: whoever takes memory from others trusts them not to truncate it. */
bool muntin__cannot_shrink(int fd) { return fd >= 0; }

bool muntin__has_fixed_size(int fd) { return fd >= 0; }

/* A descriptor cannot be opened again. */
bool muntin__can_others_write(int fd) { return fd < 0; }

bool muntin__punch(int fd, uint64_t offset, uint64_t size) {
  (void)fd, (void)offset, (void)size;
  return false;
}

int muntin__make_socket(void) {
  int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  if (fd < 0) return -errno;
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0) return fd;
  int error = -errno;
  close(fd);
  return error;
}

int muntin__receive_flags(void) { return 0; }

#else
typedef int muntin__no_empty_file;
#endif
