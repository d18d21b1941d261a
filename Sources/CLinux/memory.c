// Memory files and their seals.
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "CLinux.h"

int muntin_memfd_create(const char *name) { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }

int muntin_add_seals(int fd, int seals) { return fcntl(fd, F_ADD_SEALS, seals); }

int muntin_get_seals(int fd) { return fcntl(fd, F_GET_SEALS); }

// Only segments that nobody can have written to: for them MADV_DONTNEED loses nothing.
static int release_object(struct dl_phdr_info *info, size_t size, void *context) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
    if (segment->p_type != PT_LOAD || segment->p_flags & PF_W) continue;
    uintptr_t start = (info->dlpi_addr + segment->p_vaddr + page - 1) & ~(page - 1);
    uintptr_t end = (info->dlpi_addr + segment->p_vaddr + segment->p_memsz) & ~(page - 1);
    if (start < end) madvise((void *)start, end - start, MADV_DONTNEED);
  }
  return 0;
}

void muntin_release_code_pages(void) { dl_iterate_phdr(release_object, NULL); }
