/* What each system does in its own way: system_linux.c, or system_posix.c with what POSIX alone has. */
#ifndef MUNTIN_SYSTEM_H
#define MUNTIN_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* -DMUNTIN_POSIX chooses the second on Linux, too. */
#if defined(__linux__) && !defined(MUNTIN_POSIX)
#define MUNTIN_SYSTEM_LINUX 1
#else
#define MUNTIN_SYSTEM_LINUX 0
#endif

struct shared_memory {
  void *pixels; /* mapped writable */
  int fd;       /* to hand on: read-only, or writable if that was asked for */
};

/* Zeroed memory of `size` bytes (whole pages) that others can map, and whose size, where the system can, is sealed.
 * Without is_writable nobody else can write to it, where the system can see to that. Negative errno. */
int muntin__make_memory(size_t size, bool is_writable, struct shared_memory *memory);
/* Whether nobody can shrink this memory file under a reader; true where the system cannot tell. */
bool muntin__cannot_shrink(int fd);
/* Whether nobody can change its size at all; true where the system cannot tell. */
bool muntin__has_fixed_size(int fd);
/* Whether a process of another user that is given it could open it again for writing. */
bool muntin__can_others_write(int fd);
/* Gives the file's pages back; false where that cannot be. */
bool muntin__punch(int fd, uint64_t offset, uint64_t size);

/* A Unix socket of type SOCK_SEQPACKET that does not block and is closed on exec. Negative errno. */
int muntin__make_socket(void);
/* Flags for recvmsg(), with which descriptors are closed on exec; 0 where that must be done afterwards. */
int muntin__receive_flags(void);

/* A descriptor that is readable while one of those is that it watches, and can be watched itself. Negative errno. */
int muntin__make_poller(void);
int muntin__watch(int poller, int fd);
void muntin__unwatch(int poller, int fd);

/* Random bytes from the system. Negative errno. */
int muntin__random(void *bytes, size_t size);

#endif
