// Memory files and their seals.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>

#include "CLinux.h"

int muntin_memfd_create(const char *name) { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }

int muntin_add_seals(int fd, int seals) { return fcntl(fd, F_ADD_SEALS, seals); }

int muntin_get_seals(int fd) { return fcntl(fd, F_GET_SEALS); }
