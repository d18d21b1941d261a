#define _GNU_SOURCE
#include "system.h"

#if MUNTIN_SYSTEM_LINUX

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static int open_read_only(int fd) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return open(path, O_RDONLY | O_CLOEXEC);
}

/* The owner's mapping is there already: a seal against writing in future leaves it writable, and only it. */
static int seal(int fd, bool is_writable) {
  int seals = F_SEAL_SHRINK | F_SEAL_GROW;
  if (!is_writable && fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) < 0 && errno != EINVAL) return -errno;
  return fcntl(fd, F_ADD_SEALS, seals | F_SEAL_SEAL) < 0 ? -errno : 0;
}

/* Takes over fd. */
static int map_and_seal(int fd, size_t size, bool is_writable, struct shared_memory *memory) {
  void *pixels = MAP_FAILED;
  int shared = -1, error = 0;
  /* No other user can open it for writing; a hub of another user has to open what is writable again for readers. */
  if (fchmod(fd, is_writable ? 0644 : 0600) < 0 || ftruncate(fd, (off_t)size) < 0) goto failed;
  pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (pixels == MAP_FAILED) goto failed;
  shared = is_writable ? fd : open_read_only(fd);
  if (shared < 0 || (error = seal(fd, is_writable)) < 0) goto failed;
  if (shared != fd) close(fd);
  *memory = (struct shared_memory){pixels, shared};
  return 0;
failed:
  if (error == 0) error = -errno;
  if (pixels != MAP_FAILED) munmap(pixels, size);
  if (shared >= 0 && shared != fd) close(shared);
  close(fd);
  return error;
}

int muntin__make_memory(size_t size, bool is_writable, struct shared_memory *memory) {
  int fd = memfd_create("libmuntin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  return fd < 0 ? -errno : map_and_seal(fd, size, is_writable, memory);
}

int muntin__make_poller(void) {
  int poller = epoll_create1(EPOLL_CLOEXEC);
  return poller < 0 ? -errno : poller;
}

int muntin__watch(int poller, int fd) {
  struct epoll_event event = {.events = EPOLLIN};
  return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void muntin__unwatch(int poller, int fd) { epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL); }

static bool has_seals(int fd, int wanted) {
  int seals = fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & wanted) == wanted;
}

bool muntin__cannot_shrink(int fd) { return has_seals(fd, F_SEAL_SHRINK); }

bool muntin__has_fixed_size(int fd) { return has_seals(fd, F_SEAL_SHRINK | F_SEAL_GROW); }

bool muntin__can_others_write(int fd) {
  struct stat status;
  if (has_seals(fd, F_SEAL_WRITE) || has_seals(fd, F_SEAL_FUTURE_WRITE)) return false;
  return fstat(fd, &status) < 0 || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

bool muntin__punch(int fd, uint64_t offset, uint64_t size) {
  return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0;
}

int muntin__make_socket(void) {
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return fd < 0 ? -errno : fd;
}

int muntin__receive_flags(void) { return MSG_CMSG_CLOEXEC; }

int muntin__random(void *bytes, size_t size) { return getrandom(bytes, size, 0) == (ssize_t)size ? 0 : -EIO; }

#else
typedef int muntin__no_empty_file;
#endif
