// System calls by number: what syscall(2) is, which Swift cannot call.
#ifndef MUNTIN_SANDBOX_PROBE_H
#define MUNTIN_SANDBOX_PROBE_H

/// The result, or minus the value of errno.
long muntin_probe_call(long number, long a, long b, long c, long d, long e, long f);
/// execve(2) of a program with two arguments: a value of errno, when it returns.
int muntin_probe_exec(const char *path, const char *first, const char *second);
/// A child that waits until this process ends, with the same memory.
int muntin_probe_child(void);
/// fork(2) of a child that ends at once: 0, else a value of errno.
int muntin_probe_fork(void);
/// Starts a thread by pthread_create(3) and waits for it: 0, else a value of errno.
int muntin_probe_thread(void);
/// Writes code into new memory and runs it: 0, else a value of errno.
int muntin_probe_code(void);

#endif
