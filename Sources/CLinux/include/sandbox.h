// What a process gives up for good, as far as Swift cannot say it.
#ifndef MUNTIN_CLINUX_SANDBOX_H
#define MUNTIN_CLINUX_SANDBOX_H

#include <stdint.h>

/// prctl(PR_SET_NO_NEW_PRIVS).
int muntin_no_new_privileges(void);
/// Writes zeros over the environment that this process was started with, and forgets it. For the first thread.
void muntin_clear_environment(void);
/// capset(2) with none for the calling thread, or with no more than those that open others' files.
int muntin_drop_capabilities(int keeps_files);
/// The seccomp mode of the calling process: prctl(PR_GET_SECCOMP) works where the kernel has seccomp.
int muntin_has_seccomp(void);

/// Names a system call for the log. `name` must stay.
void muntin_name_call(int number, const char *name);
/// Says what a call is answered: a value of errno.
void muntin_answer_call(int number, int error);
/// From now on a call that the filter traps (SIGSYS) fails with what it is answered, and a line on standard error says
/// which it was: the first few times for each call.
int muntin_report_refusals(int other_error);

// ---- Landlock (linux/landlock.h; the numbers are those of the kernel's interface, newer than some headers) ----

enum {
  MUNTIN_LANDLOCK_EXECUTE = 1 << 0,
  MUNTIN_LANDLOCK_WRITE_FILE = 1 << 1,
  MUNTIN_LANDLOCK_READ_FILE = 1 << 2,
  MUNTIN_LANDLOCK_READ_DIR = 1 << 3,
  MUNTIN_LANDLOCK_REMOVE_FILE = 1 << 5,
  MUNTIN_LANDLOCK_MAKE_SOCK = 1 << 9,
  MUNTIN_LANDLOCK_TRUNCATE = 1 << 14,
  MUNTIN_LANDLOCK_IOCTL_DEV = 1 << 15,
};

/// The version of the kernel's interface; negative with errno where there is none.
int muntin_landlock_version(void);
/// A rule set that handles these accesses: files, network, scopes. Those that the version does not know are to be left out.
int muntin_landlock_create(uint64_t files, uint64_t network, uint64_t scopes);
/// Allows an access beneath the file or folder behind a descriptor.
int muntin_landlock_allow(int rules, int parent, uint64_t access);
/// Puts the rule set in force for the calling thread, or, with `all_threads` (version 8), for all of the process.
int muntin_landlock_restrict(int rules, int all_threads);

#endif
