// POSIX macros that Swift does not import, and C that Swift cannot express. Nothing here is of one system only.
#ifndef MUNTIN_CPOSIX_H
#define MUNTIN_CPOSIX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// ---- sockets (sockets.c) ----

/// sendmsg(2) with SCM_RIGHTS, MSG_NOSIGNAL; `flags` is added.
ssize_t muntin_send(int fd, const void *bytes, size_t count, const int *descriptors, int descriptor_count, int flags);
/// recvmsg(2). `*descriptor_count` is the room on entry and the number received on return; `*truncated` is set when the
/// message or its descriptors did not fit (the system closes surplus ones).
ssize_t muntin_receive(int fd, void *bytes, size_t count, int *descriptors, int *descriptor_count, int *truncated,
                       int flags);

// ---- signals (signals.c) ----

/// Writes the number of each of these signals, one byte, to `pipe` from now on, and lets them through to this thread. One
/// pipe at a time in a process.
int muntin_catch_signals(const int *signals, int count, int pipe);
/// Gives the signals their standard meaning again.
void muntin_release_signals(const int *signals, int count);
/// Ignores SIGPIPE unless somebody handles it: writing to a broken pipe then fails with EPIPE, as with a socket.
void muntin_ignore_broken_pipes(void);

// ---- memory files (memory.c) ----

/// shm_open(3), for the owner only.
int muntin_shm_open(const char *name, int flags);

// ---- memory that a peer may take away (fault.c) ----

/// Guards mapped memory: when an access raises SIGBUS because the file behind it has been truncated, all of the range
/// becomes zeroed private memory, the access goes on, and `bell`, a doorbell's ringing end, is rung. The range must be a
/// whole mapping. Returns a slot, or -1 with errno ENOSPC or that of sigaction(2).
int muntin_fault_guard(void *base, size_t count, int bell);
/// Whether the slot's memory was taken away.
int muntin_fault_happened(int slot);
/// Ends the guard; call before the memory is unmapped.
void muntin_fault_unguard(int slot);

// ---- a loop that does not come back (hang.c) ----

enum { MUNTIN_HANG_STATUS = 70 };
/// From now on work that takes longer ends the process: `words` go to standard error, and the exit status is
/// MUNTIN_HANG_STATUS. Once in a process; uses SIGALRM. -1 with errno EBUSY or that of timer_create(2).
int muntin_hang_watch(int64_t nanoseconds, const char *words);
/// Work begins on the watched thread; what was begun is over.
void muntin_hang_begin(void);
/// The watched thread is at rest.
void muntin_hang_rest(void);
/// Ends the process as work that takes too long does.
void muntin_hang_end(void) __attribute__((noreturn));

// ---- large copies (streaming.c) ----

enum { MUNTIN_STREAM_LANES = 4 };
struct muntin_stream_lane {
  char *target;
  const char *source;
  size_t count;
};
/// Pieces that are copied together; all zero at first.
struct muntin_stream {
  struct muntin_stream_lane lanes[MUNTIN_STREAM_LANES];
  int count;
};
/// Copies a piece with stores that go past the caches, now or with the pieces that follow.
void muntin_stream_copy(struct muntin_stream *stream, void *target, const void *source, size_t count);
/// Copies what is left; everything is there when it returns.
void muntin_stream_finish(struct muntin_stream *stream);

#endif
