// Child processes: fork and exec in one call, because Swift cannot run between the two.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "CLinux.h"

// Runs in the child: only calls that are safe after fork. Returns only when one of them failed.
static void become(const struct muntin_spawn *what, pid_t parent, int report) {
  struct sigaction standard = {.sa_handler = SIG_DFL};
  sigset_t none;
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &standard, NULL);
  if (setpgid(0, 0) < 0) return;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return;
  if (getppid() != parent) _exit(127);
  if (chdir(what->folder) < 0) return;
  int input = what->input < 0 ? open("/dev/null", O_RDONLY) : what->input;
  if (input < 0 || dup2(input, 0) < 0 || dup2(what->output, 1) < 0 || dup2(what->output, 2) < 0) return;
  // 4 is CLOSE_RANGE_CLOEXEC: an inherited descriptor that somebody forgot to mark ends here.
  syscall(SYS_close_range, 3, ~0U, 4);
  fcntl(report, F_SETFD, FD_CLOEXEC);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execvpe(what->program, what->arguments, what->environment);
}

pid_t muntin_spawn(const struct muntin_spawn *what) {
  int report[2];
  sigset_t all, before;
  if (pipe2(report, O_CLOEXEC) < 0) return -1;
  pid_t parent = getpid();
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t child = fork();
  if (child == 0) {
    become(what, parent, report[1]);
    int failure = errno;
    ssize_t written = write(report[1], &failure, sizeof failure);
    _exit(written == sizeof failure ? 127 : 126);
  }
  int failure = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(report[1]);
  if (child > 0) {
    // The pipe closes at a successful exec; else the child says why there was none.
    ssize_t count;
    while ((count = read(report[0], &failure, sizeof failure)) < 0 && errno == EINTR) continue;
    if (count == sizeof failure) {
      while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
      child = -1;
    }
  }
  close(report[0]);
  errno = failure;
  return child;
}

int muntin_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int muntin_reap(pid_t pid, int *code, int *signal) {
  int status;
  pid_t ended = waitpid(pid, &status, WNOHANG);
  if (ended <= 0) return (int)ended;
  *code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  *signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return 1;
}
