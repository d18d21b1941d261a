// Signals as bytes in a pipe, and none for broken pipes. The handler uses only write and an atomic.
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "CPOSIX.h"

static atomic_int target = -1;

static void on_signal(int signal) {
  int saved = errno;
  unsigned char number = (unsigned char)signal;
  ssize_t written = write(atomic_load(&target), &number, 1);
  (void)written;
  errno = saved;
}

static int set_all(const int *signals, int count, const struct sigaction *action) {
  for (int i = 0; i < count; i++) {
    if (sigaction(signals[i], action, NULL) < 0) return -1;
  }
  return 0;
}

int muntin_catch_signals(const int *signals, int count, int pipe) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigset_t all;
  sigemptyset(&action.sa_mask);
  sigemptyset(&all);
  for (int i = 0; i < count; i++) sigaddset(&all, signals[i]);
  atomic_store(&target, pipe);
  if (set_all(signals, count, &action) < 0) return -1;
  errno = pthread_sigmask(SIG_UNBLOCK, &all, NULL);
  return errno == 0 ? 0 : -1;
}

void muntin_release_signals(const int *signals, int count) {
  struct sigaction standard = {.sa_handler = SIG_DFL};
  set_all(signals, count, &standard);
  atomic_store(&target, -1);
}

void muntin_ignore_broken_pipes(void) {
  struct sigaction present;
  if (sigaction(SIGPIPE, NULL, &present) < 0 || present.sa_handler != SIG_DFL) return;
  present.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &present, NULL);
}
