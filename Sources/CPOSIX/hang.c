// Ends the process when its loop is away for too long. The timer is armed when work begins and left to run out: it looks
// then how long the work at hand has taken, so that most turns of the loop cost no system call, and a process at rest is
// woken once at most. The handler uses only calls that POSIX lists for signal handlers.
#define _DEFAULT_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "CPOSIX.h"

static const int64_t SECOND = 1000000000;

static timer_t timer;
static int64_t limit;  // nanoseconds; 0: not watched
static char last_words[256];
static _Atomic int64_t began;  // when the work at hand began; 0: at rest
static atomic_int armed;

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * SECOND + time.tv_nsec;
}

static void arm(int64_t nanoseconds) {
  struct itimerspec when = {.it_value = {.tv_sec = nanoseconds / SECOND, .tv_nsec = nanoseconds % SECOND}};
  timer_settime(timer, 0, &when, NULL);
}

void muntin_hang_end(void) {
  ssize_t written = write(STDERR_FILENO, last_words, strlen(last_words));
  (void)written;
  _exit(MUNTIN_HANG_STATUS);
}

static void on_alarm(int signal) {
  (void)signal;
  int saved = errno;
  int64_t start = atomic_load(&began);
  if (start == 0) {
    atomic_store(&armed, 0);
    // Work that began meanwhile saw the timer armed.
    start = atomic_load(&began);
    if (start == 0 || atomic_exchange(&armed, 1)) {
      errno = saved;
      return;
    }
  }
  int64_t left = start + limit - now();
  if (left <= 0) muntin_hang_end();
  arm(left);
  errno = saved;
}

int muntin_hang_watch(int64_t nanoseconds, const char *words) {
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  if (limit != 0) {
    errno = EBUSY;
    return -1;
  }
  sigemptyset(&action.sa_mask);
  strncpy(last_words, words, sizeof last_words - 1);
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0) return -1;
  if (sigaction(SIGALRM, &action, NULL) < 0) return -1;
  limit = nanoseconds;
  return 0;
}

void muntin_hang_begin(void) {
  if (limit == 0) return;
  atomic_store(&began, now());
  if (!atomic_exchange(&armed, 1)) arm(limit);
}

void muntin_hang_rest(void) { atomic_store(&began, 0); }
