// Linux system calls and macros that Swift's Glibc module does not import. No logic lives here.
#ifndef MUNTIN_CLINUX_H
#define MUNTIN_CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dmabuf.h"
#include "sandbox.h"

// ---- memory files ----

/// memfd_create(2) with MFD_CLOEXEC | MFD_ALLOW_SEALING.
int muntin_memfd_create(const char *name);
/// fcntl(F_ADD_SEALS).
int muntin_add_seals(int fd, int seals);
/// fallocate(2): takes the first `count` bytes' pages out of a file, which keeps its size.
int muntin_punch(int fd, size_t count);
/// fcntl(F_GET_SEALS), negative when the file knows no seals.
int muntin_get_seals(int fd);
enum {
  MUNTIN_SEAL_SEAL = 0x0001,
  MUNTIN_SEAL_SHRINK = 0x0002,
  MUNTIN_SEAL_GROW = 0x0004,
  MUNTIN_SEAL_WRITE = 0x0008,
  MUNTIN_SEAL_FUTURE_WRITE = 0x0010,
};

/// madvise(MADV_DONTNEED) on the parts of this program and its libraries that are mapped without write permission.
void muntin_release_program_pages(void);
/// malloc_trim(3) of all that is free.
void muntin_give_back_free(void);

// ---- event loop ----

enum {
  MUNTIN_EPOLLIN = 0x001,
  MUNTIN_EPOLLOUT = 0x004,
  MUNTIN_EPOLLERR = 0x008,
  MUNTIN_EPOLLHUP = 0x010,
  MUNTIN_EPOLLRDHUP = 0x2000,
};
enum { MUNTIN_EPOLLET = 0x80000000u };
struct muntin_epoll_event {
  uint32_t events;
  uint64_t data;
};
int muntin_epoll_create(void);
/// op: 1 add, 2 delete, 3 modify.
int muntin_epoll_ctl(int epoll, int op, int fd, uint32_t events, uint64_t data);
/// Waits at most `nanoseconds` (negative: for ever). Fills `events`.
int muntin_epoll_wait(int epoll, struct muntin_epoll_event *events, int capacity, int64_t nanoseconds);
int muntin_eventfd(void);
/// Blocks the signals in this thread and gives a non-blocking descriptor that reads them.
int muntin_signalfd(const int *signals, int count);
/// The next signal that waits at such a descriptor; 0 when none does.
int muntin_next_signal(int fd);

// ---- sockets ----

/// MSG_DONTWAIT and MSG_CMSG_CLOEXEC.
enum { MUNTIN_DONTWAIT = 0x40, MUNTIN_CMSG_CLOEXEC = 0x40000000 };
/// accept4(2), non-blocking and close-on-exec.
int muntin_accept(int fd);
/// getsockopt(SO_PEERCRED).
int muntin_peer_credentials(int fd, int32_t *pid, uint32_t *uid, uint32_t *gid);

// ---- child processes ----

struct muntin_spawn {
  /// A path, or a name that is looked for in PATH.
  const char *program;
  /// NULL-terminated; the first is the program's own name.
  char *const *arguments;
  /// NULL-terminated "NAME=value" strings: the whole environment.
  char *const *environment;
  /// The working folder.
  const char *folder;
  /// Becomes the child's standard output and standard error.
  int output;
  /// Becomes its standard input; /dev/null where it is negative.
  int input;
};
/// Starts a program in a process group of its own, with no other descriptor and no signal blocked or ignored. The kernel
/// kills it when the calling thread ends. Its process id, or negative with errno when it could not be started.
pid_t muntin_spawn(const struct muntin_spawn *what);
/// pidfd_open(2): readable once the process has ended.
int muntin_pidfd_open(pid_t pid);
/// Takes the end of a child: 1 with its exit code or signal (else 0), 0 when it still runs, negative on error.
int muntin_reap(pid_t pid, int *code, int *signal);

// ---- virtualisation ----

/// Runs 100,000 rounds of a loop in a virtual machine of one page and says how long they took. Negative with errno when a
/// step fails, which `*step` names.
int muntin_try_kvm(const char **step, int64_t *nanoseconds);

#endif
