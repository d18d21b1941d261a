#define _GNU_SOURCE
#include "CSandboxProbe.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

long muntin_probe_call(long number, long a, long b, long c, long d, long e, long f) {
  long result = syscall(number, a, b, c, d, e, f);
  return result < 0 ? -errno : result;
}

int muntin_probe_fork(void) {
  pid_t child = fork();
  if (child < 0) return errno;
  if (child == 0) _exit(0);
  waitpid(child, NULL, 0);
  return 0;
}

int muntin_probe_exec(const char *path, const char *first, const char *second) {
  char *const arguments[] = {(char *)path, (char *)first, (char *)second, NULL};
  char *const environment[] = {NULL};
  execve(path, arguments, environment);
  return errno;
}

int muntin_probe_child(void) {
  pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) pause();
}

static void *nothing(void *argument) { return argument; }

int muntin_probe_thread(void) {
  pthread_t thread;
  int error = pthread_create(&thread, NULL, nothing, NULL);
  return error ? error : pthread_join(thread, NULL);
}

int muntin_probe_code(void) {
#if defined(__x86_64__)
  static const unsigned char code[] = {0xc3};
#elif defined(__aarch64__)
  static const unsigned char code[] = {0xc0, 0x03, 0x5f, 0xd6};
#endif
  void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return errno;
  memcpy(memory, code, sizeof code);
  if (mprotect(memory, 4096, PROT_READ | PROT_EXEC) < 0) return errno;
  __builtin___clear_cache(memory, (char *)memory + sizeof code);
  ((void (*)(void))memory)();
  munmap(memory, 4096);
  return 0;
}
