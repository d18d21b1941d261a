// A smallest virtual machine, to find out what /dev/kvm is worth: opening it proves little, because some hosts run the
// guest's kernel code by emulation, a thousand times slower.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "CLinux.h"

#ifdef __x86_64__
#include <linux/kvm.h>

enum { CODE_ADDRESS = 0x1000, PAGE = 4096 };

// mov ecx, 100000; again: dec ecx; jnz again; hlt (16-bit real mode)
static const unsigned char loop_code[] = {0x66, 0xb9, 0xa0, 0x86, 0x01, 0x00, 0x66, 0x49, 0x75, 0xfc, 0xf4};

static int64_t monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int run_loop(int kvm, int machine, void *memory, const char **step, int64_t *nanoseconds) {
  struct kvm_userspace_memory_region region = {
      .guest_phys_addr = CODE_ADDRESS, .memory_size = PAGE, .userspace_addr = (uintptr_t)memory};
  struct kvm_regs registers = {.rip = CODE_ADDRESS, .rflags = 2};
  struct kvm_sregs segments;
  memcpy(memory, loop_code, sizeof loop_code);
  *step = "KVM_SET_USER_MEMORY_REGION";
  if (ioctl(machine, KVM_SET_USER_MEMORY_REGION, &region) < 0) return -1;
  *step = "KVM_CREATE_VCPU";
  int processor = ioctl(machine, KVM_CREATE_VCPU, 0);
  if (processor < 0) return -1;
  int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  struct kvm_run *state = size < PAGE ? MAP_FAILED : mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, processor, 0);
  int result = -1;
  *step = "KVM_RUN";
  if (state != MAP_FAILED && ioctl(processor, KVM_GET_SREGS, &segments) == 0) {
    segments.cs.base = 0;
    segments.cs.selector = 0;
    int64_t start = monotonic();
    if (ioctl(processor, KVM_SET_SREGS, &segments) == 0 && ioctl(processor, KVM_SET_REGS, &registers) == 0 &&
        ioctl(processor, KVM_RUN, 0) == 0) {
      errno = EIO;
      if (state->exit_reason == KVM_EXIT_HLT) result = 0;
    }
    *nanoseconds = monotonic() - start;
  }
  int failure = errno;
  if (state != MAP_FAILED) munmap(state, (size_t)size);
  close(processor);
  errno = failure;
  return result;
}

int muntin_try_kvm(const char **step, int64_t *nanoseconds) {
  *step = "open";
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) return -1;
  *step = "KVM_CREATE_VM";
  int machine = ioctl(kvm, KVM_CREATE_VM, 0);
  void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int result = machine < 0 || memory == MAP_FAILED ? -1 : run_loop(kvm, machine, memory, step, nanoseconds);
  int failure = errno;
  if (machine >= 0) close(machine);
  if (memory != MAP_FAILED) munmap(memory, PAGE);
  close(kvm);
  errno = failure;
  return result;
}

#else

int muntin_try_kvm(const char **step, int64_t *nanoseconds) {
  *step = "open";
  *nanoseconds = 0;
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) return -1;
  *step = "KVM_CREATE_VM";
  int machine = ioctl(kvm, 0xAE01, 0);
  int failure = errno;
  if (machine >= 0) close(machine);
  close(kvm);
  errno = failure;
  return machine < 0 ? -1 : 0;
}

#endif
