// Survives SIGBUS of memory that a peer shared and then truncated. The handler uses only mmap, write and atomics on a
// static table. POSIX does not list mmap among the calls for signal handlers; where it is a bare system call, it is one.
#define _DEFAULT_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "CPOSIX.h"

enum { MAXIMUM_GUARDS = 8192 };

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

struct guard {
  _Atomic(uintptr_t) base;  // 0: free
  _Atomic(size_t) count;
  atomic_int bell;
  atomic_int happened;
};

static struct guard guards[MAXIMUM_GUARDS];
static struct sigaction previous;
static atomic_int installed;

static int replace_memory(struct guard *guard, uintptr_t base, size_t count) {
  void *fresh = mmap((void *)base, count, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  if (fresh == MAP_FAILED) return 0;
  atomic_store(&guard->happened, 1);
  uint64_t one = 1;
  ssize_t rung = write(atomic_load(&guard->bell), &one, sizeof one);
  (void)rung;
  return 1;
}

static int handle_fault(uintptr_t address) {
  for (int i = 0; i < MAXIMUM_GUARDS; i++) {
    uintptr_t base = atomic_load(&guards[i].base);
    size_t count = atomic_load(&guards[i].count);
    if (base != 0 && address - base < count) return replace_memory(&guards[i], base, count);
  }
  return 0;
}

static void on_sigbus(int signal, siginfo_t *info, void *context) {
  (void)context;
  int saved = errno;
  // Not a missing page of ours: whoever was there before decides, when the access is tried again.
  if (info->si_code != BUS_ADRERR || !handle_fault((uintptr_t)info->si_addr)) {
    sigaction(SIGBUS, &previous, NULL);
    if (info->si_code <= 0) raise(signal);
  }
  errno = saved;
}

static int install(void) {
  struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
  int expected = 0;
  if (!atomic_compare_exchange_strong(&installed, &expected, 1)) return 0;
  sigemptyset(&action.sa_mask);
  return sigaction(SIGBUS, &action, &previous);
}

int muntin_fault_guard(void *base, size_t count, int bell) {
  if (install() < 0) return -1;
  for (int i = 0; i < MAXIMUM_GUARDS; i++) {
    uintptr_t expected = 0;
    // The count is 0 while the slot is free, so the handler sees a whole entry or none.
    if (!atomic_compare_exchange_strong(&guards[i].base, &expected, (uintptr_t)base)) continue;
    atomic_store(&guards[i].bell, bell);
    atomic_store(&guards[i].happened, 0);
    atomic_store(&guards[i].count, count);
    return i;
  }
  errno = ENOSPC;
  return -1;
}

int muntin_fault_happened(int slot) { return atomic_load(&guards[slot].happened); }

void muntin_fault_unguard(int slot) {
  atomic_store(&guards[slot].count, 0);
  atomic_store(&guards[slot].base, 0);
}
