// Memory files and their seals.
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "CLinux.h"

int muntin_memfd_create(const char *name) { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }

int muntin_add_seals(int fd, int seals) { return fcntl(fd, F_ADD_SEALS, seals); }

int muntin_get_seals(int fd) { return fcntl(fd, F_GET_SEALS); }

int muntin_punch(int fd, size_t count) {
  return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)count);
}

static int release_object(struct dl_phdr_info *object, size_t size, void *nothing) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (int index = 0; index < object->dlpi_phnum; index++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[index];
    if (part->p_type != PT_LOAD || part->p_flags & PF_W) continue;
    uintptr_t start = (object->dlpi_addr + part->p_vaddr) & ~(page - 1);
    uintptr_t end = (object->dlpi_addr + part->p_vaddr + part->p_memsz + page - 1) & ~(page - 1);
    madvise((void *)start, end - start, MADV_DONTNEED);
  }
  return 0;
}

void muntin_release_program_pages(void) { dl_iterate_phdr(release_object, NULL); }

void muntin_give_back_free(void) { malloc_trim(0); }
