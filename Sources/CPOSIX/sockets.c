// Unix sockets with descriptors in their messages: the CMSG macros are not imported into Swift.
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "CPOSIX.h"

enum { MAXIMUM_DESCRIPTORS = 253 };  // SCM_MAX_FD of Linux

ssize_t muntin_send(int fd, const void *bytes, size_t count, const int *descriptors, int descriptor_count, int flags) {
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int) * MAXIMUM_DESCRIPTORS)];
  } control;
  struct iovec vector = {.iov_base = (void *)bytes, .iov_len = count};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (descriptor_count > MAXIMUM_DESCRIPTORS) {
    errno = EINVAL;
    return -1;
  }
  if (descriptor_count > 0) {
    size_t length = sizeof(int) * (size_t)descriptor_count;
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(length);
    memset(&control, 0, message.msg_controllen);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(header), descriptors, length);
  }
  return sendmsg(fd, &message, MSG_NOSIGNAL | flags);
}

ssize_t muntin_receive(int fd, void *bytes, size_t count, int *descriptors, int *descriptor_count, int *truncated,
                       int flags) {
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int) * MAXIMUM_DESCRIPTORS)];
  } control;
  int room = *descriptor_count < MAXIMUM_DESCRIPTORS ? *descriptor_count : MAXIMUM_DESCRIPTORS;
  struct iovec vector = {.iov_base = bytes, .iov_len = count};
  struct msghdr message = {
      .msg_iov = &vector,
      .msg_iovlen = 1,
      .msg_control = room > 0 ? &control : NULL,
      .msg_controllen = room > 0 ? CMSG_LEN(sizeof(int) * (size_t)room) : 0,
  };
  *descriptor_count = 0;
  *truncated = 0;
  ssize_t received = recvmsg(fd, &message, flags);
  if (received < 0) return received;
  *truncated = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    int found = (int)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(descriptors + *descriptor_count, CMSG_DATA(h), sizeof(int) * (size_t)found);
    *descriptor_count += found;
  }
  return received;
}
