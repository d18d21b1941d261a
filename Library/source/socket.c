/* The usual transport: a Unix socket of type SOCK_SEQPACKET. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

struct socket_context {
  int fd;
  struct sockaddr_un address;
};

union control {
  struct cmsghdr header;
  char room[CMSG_SPACE(sizeof(int) * MAXIMUM_PACKET_DESCRIPTORS)];
};

void muntin__close(int fd) {
  if (fd >= 0) close(fd);
}

void *muntin__socket_context(const char *path, int fd) {
  struct socket_context *own = calloc(1, sizeof *own);
  if (own == NULL) return NULL;
  own->fd = fd;
  own->address.sun_family = AF_UNIX;
  if (path != NULL) snprintf(own->address.sun_path, sizeof own->address.sun_path, "%s", path);
  return own;
}

static int socket_connect(void *context) {
  struct socket_context *own = context;
  int fd = muntin__make_socket();
  if (fd < 0) return fd;
  if (connect(fd, (const struct sockaddr *)&own->address, sizeof own->address) < 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  own->fd = fd;
  return 0;
}

static int socket_send(void *context, const void *bytes, size_t size, const int *descriptors, size_t count) {
  struct socket_context *own = context;
  union control control;
  struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(&control.header), descriptors, sizeof(int) * count);
  }
  ssize_t sent;
  do sent = sendmsg(own->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN : -errno;
  return 0;
}

/* Every descriptor of the message into `descriptors`, which has room for all that the kernel had room for. */
static size_t take_descriptors(struct msghdr *message, int *descriptors) {
  size_t count = 0;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t found = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(descriptors + count, CMSG_DATA(part), found * sizeof(int));
    count += found;
  }
  if (muntin__receive_flags() == 0) {
    for (size_t index = 0; index < count; index++) fcntl(descriptors[index], F_SETFD, FD_CLOEXEC);
  }
  return count;
}

static ssize_t socket_receive(void *context, void *bytes, size_t room, int *descriptors, size_t *count) {
  struct socket_context *own = context;
  union control control;
  struct iovec vector = {.iov_base = bytes, .iov_len = room};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control};
  ssize_t received;
  do {
    message.msg_controllen =
        CMSG_LEN(sizeof(int) * (*count < MAXIMUM_PACKET_DESCRIPTORS ? *count : MAXIMUM_PACKET_DESCRIPTORS));
    received = recvmsg(own->fd, &message, MSG_DONTWAIT | muntin__receive_flags());
  } while (received < 0 && (errno == EINTR || errno == ECONNRESET));
  *count = received < 0 ? 0 : take_descriptors(&message, descriptors);
  if (received < 0) return errno == EWOULDBLOCK ? -EAGAIN : -errno;
  return (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ? -EMSGSIZE : received;
}

static int socket_descriptor(void *context) { return ((struct socket_context *)context)->fd; }

static void socket_disconnect(void *context) {
  struct socket_context *own = context;
  muntin__close(own->fd);
  own->fd = -1;
}

static void socket_destroy(void *context) {
  socket_disconnect(context);
  free(context);
}

const muntin_transport muntin__socket_transport = {
    .connect = socket_connect,
    .send = socket_send,
    .receive = socket_receive,
    .descriptor = socket_descriptor,
    .disconnect = socket_disconnect,
    .destroy = socket_destroy,
};

const muntin_transport muntin__adopted_transport = {
    .send = socket_send,
    .receive = socket_receive,
    .descriptor = socket_descriptor,
    .disconnect = socket_disconnect,
    .destroy = socket_destroy,
};
