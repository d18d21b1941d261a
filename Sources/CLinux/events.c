// epoll, eventfd, signalfd.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "CLinux.h"

int muntin_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int muntin_epoll_ctl(int epoll, int op, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  return epoll_ctl(epoll, op, fd, &event);
}

// epoll_pwait2 has the resolution that a frame clock wants; older kernels wait in whole milliseconds, rounded up.
static int wait_events(int epoll, struct epoll_event *events, int capacity, int64_t nanoseconds) {
  static int has_pwait2 = 1;
  if (has_pwait2) {
    struct timespec limit = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    int count = epoll_pwait2(epoll, events, capacity, nanoseconds < 0 ? NULL : &limit, NULL);
    if (count >= 0 || errno != ENOSYS) return count;
    has_pwait2 = 0;
  }
  int milliseconds = nanoseconds < 0 ? -1 : (int)((nanoseconds + 999999) / 1000000);
  return epoll_wait(epoll, events, capacity, milliseconds);
}

int muntin_epoll_wait(int epoll, struct muntin_epoll_event *out, int capacity, int64_t nanoseconds) {
  struct epoll_event events[64];
  int count = wait_events(epoll, events, capacity < 64 ? capacity : 64, nanoseconds);
  for (int i = 0; i < count; i++) {
    out[i].events = events[i].events;
    out[i].data = events[i].data.u64;
  }
  return count;
}

int muntin_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int muntin_signalfd(const int *signals, int count) {
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
  if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -1;
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int muntin_next_signal(int fd) {
  struct signalfd_siginfo info;
  return read(fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}
