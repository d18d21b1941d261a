// shm_open(3) has a variable number of arguments on some systems.
#define _POSIX_C_SOURCE 200809L
#include <sys/mman.h>
#include <sys/stat.h>

#include "CPOSIX.h"

int muntin_shm_open(const char *name, int flags) { return shm_open(name, flags, S_IRUSR | S_IWUSR); }
