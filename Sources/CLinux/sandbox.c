// no_new_privs, capabilities, Landlock by its system calls (no C library has them), and what is said of refused calls.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "CLinux.h"

int muntin_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

int muntin_has_seccomp(void) { return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0; }

void muntin_clear_environment(void) {
  // What the kernel put there is above every frame of the first thread's stack; what libraries added may be read-only.
  char here;
  for (char **variable = environ; variable && *variable; variable++) {
    if (*variable > &here) explicit_bzero(*variable, strlen(*variable));
  }
  clearenv();
}

int muntin_drop_capabilities(int keeps_files) {
  enum { FILES = 1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH };
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  if (syscall(SYS_capget, &header, data) < 0) return -1;
  for (int word = 0; word < _LINUX_CAPABILITY_U32S_3; word++) {
    data[word].inheritable = 0;
    data[word].permitted &= keeps_files && word == 0 ? FILES : 0;
    data[word].effective &= data[word].permitted;
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return (int)syscall(SYS_capset, &header, data);
}

// ---- Refused calls ----

enum { MAXIMUM_CALL = 1024, MAXIMUM_LINES = 5 };

static struct {
  const char *name;
  int error;
  atomic_int lines;
} calls[MAXIMUM_CALL];
static int error_of_others;

void muntin_name_call(int number, const char *name) {
  if (number >= 0 && number < MAXIMUM_CALL) calls[number].name = name;
}

void muntin_answer_call(int number, int error) {
  if (number >= 0 && number < MAXIMUM_CALL) calls[number].error = error;
}

// Only what is allowed in a signal handler: no printf.
static char *append(char *end, const char *text) {
  while (*text) *end++ = *text++;
  return end;
}

static char *append_number(char *end, uint64_t number, unsigned base) {
  char digits[24];
  int count = 0;
  do {
    digits[count++] = "0123456789abcdef"[number % base];
    number /= base;
  } while (number);
  while (count) *end++ = digits[--count];
  return end;
}

static void report(int number, const char *name, const uint64_t *arguments) {
  char line[256];
  char *end = append(line, "sandbox: refused ");
  end = append(end, name ? name : "system call");
  end = append_number(append(end, " ("), (uint64_t)number, 10);
  end = append(end, ") with");
  for (int index = 0; index < 4; index++) end = append_number(append(end, " 0x"), arguments[index], 16);
  end = append_number(append(end, " in thread "), (uint64_t)syscall(SYS_gettid), 10);
  *end++ = '\n';
  ssize_t written = write(STDERR_FILENO, line, (size_t)(end - line));
  (void)written;
}

static void on_refused(int signal, siginfo_t *info, void *context) {
  (void)signal;
  int saved = errno;
  ucontext_t *state = context;
  int number = info->si_syscall;
  int is_known = number >= 0 && number < MAXIMUM_CALL;
  int error = is_known && calls[number].error ? calls[number].error : error_of_others;
#if defined(__x86_64__)
  greg_t *registers = state->uc_mcontext.gregs;
  uint64_t arguments[] = {(uint64_t)registers[REG_RDI], (uint64_t)registers[REG_RSI], (uint64_t)registers[REG_RDX],
                          (uint64_t)registers[REG_R10]};
  registers[REG_RAX] = -error;
#elif defined(__aarch64__)
  uint64_t arguments[4];
  for (int index = 0; index < 4; index++) arguments[index] = state->uc_mcontext.regs[index];
  state->uc_mcontext.regs[0] = (uint64_t)-(int64_t)error;
#else
#error "how is a system call's result set on this processor?"
#endif
  if (!is_known || atomic_fetch_add(&calls[number].lines, 1) < MAXIMUM_LINES) {
    report(number, is_known ? calls[number].name : NULL, arguments);
  }
  errno = saved;
}

int muntin_report_refusals(int other_error) {
  error_of_others = other_error;
  struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigset_t refused;
  sigemptyset(&refused);
  sigaddset(&refused, SIGSYS);
  if (pthread_sigmask(SIG_UNBLOCK, &refused, NULL) != 0) return -1;
  return sigaction(SIGSYS, &action, NULL);
}

// ---- Landlock ----

enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446 };
enum { CREATE_VERSION = 1, RULE_PATH_BENEATH = 1, RESTRICT_ALL_THREADS = 1 << 3 };

struct rules {
  uint64_t files, network, scopes;
};
struct path_beneath {
  uint64_t access;
  int32_t parent;
} __attribute__((packed));

int muntin_landlock_version(void) { return (int)syscall(CREATE_RULESET, NULL, (size_t)0, CREATE_VERSION); }

int muntin_landlock_create(uint64_t files, uint64_t network, uint64_t scopes) {
  struct rules rules = {.files = files, .network = network, .scopes = scopes};
  // An older kernel takes a longer struct whose end is zero.
  return (int)syscall(CREATE_RULESET, &rules, sizeof rules, 0);
}

int muntin_landlock_allow(int rules, int parent, uint64_t access) {
  struct path_beneath rule = {.access = access, .parent = parent};
  return (int)syscall(ADD_RULE, rules, RULE_PATH_BENEATH, &rule, 0);
}

int muntin_landlock_restrict(int rules, int all_threads) {
  return (int)syscall(RESTRICT_SELF, rules, all_threads ? RESTRICT_ALL_THREADS : 0);
}
