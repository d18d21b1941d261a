/* Shared descriptors, and the lists of a connection's objects. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

struct descriptor *muntin__adopt(int fd) {
  struct descriptor *descriptor = malloc(sizeof *descriptor);
  if (descriptor == NULL) {
    muntin__close(fd);
    return NULL;
  }
  *descriptor = (struct descriptor){fd, 1, -1};
  return descriptor;
}

/* A plain file is always readable: as a fence it says nothing, and the hub refuses it. */
static bool can_be_fence(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

struct descriptor *muntin__duplicate(int fd, int *error) {
  *error = MUNTIN_ERROR_INVALID;
  if (!can_be_fence(fd)) return NULL;
  *error = MUNTIN_ERROR_SYSTEM;
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return NULL;
  *error = MUNTIN_ERROR_MEMORY;
  return muntin__adopt(copy);
}

struct descriptor *muntin__hold(struct descriptor *descriptor) {
  if (descriptor != NULL) descriptor->holders++;
  return descriptor;
}

static void unwatch(struct descriptor *fence) {
  if (fence->poller >= 0) muntin__unwatch(fence->poller, fence->fd);
  fence->poller = -1;
}

void muntin__let_go(struct descriptor **descriptor) {
  struct descriptor *held = *descriptor;
  *descriptor = NULL;
  if (held == NULL || --held->holders > 0) return;
  unwatch(held);
  muntin__close(held->fd);
  free(held);
}

static bool is_ready(int fence) {
  struct pollfd poller = {.fd = fence, .events = POLLIN};
  return poll(&poller, 1, 0) != 0;
}

bool muntin__must_wait(muntin *connection, struct descriptor *fence) {
  if (fence == NULL || connection->memory->poller == NULL || is_ready(fence->fd)) return false;
  int poller = connection->memory->poller(connection->context);
  if (fence->poller < 0 && muntin__watch(poller, fence->fd) == 0) fence->poller = poller;
  connection->is_fenced = true;
  return true;
}

struct descriptor *muntin__passed(const muntin *connection, struct descriptor *fence) {
  return connection->memory->poller == NULL ? fence : NULL;
}

static struct descriptor *fence_of(const struct object *object) {
  if (object->kind == OBJECT_BUFFER) return ((const muntin_buffer *)object)->fence;
  return object->kind == OBJECT_LEASE ? ((const muntin_lease *)object)->done_fence : NULL;
}

void muntin__say_fenced(muntin *connection) {
  if (!connection->is_fenced) return;
  connection->is_fenced = false;
  for (struct object *each = connection->objects; each != NULL; each = each->next) {
    struct descriptor *fence = fence_of(each);
    if (fence == NULL) continue;
    if (!is_ready(fence->fd)) {
      connection->is_fenced = true;
      continue;
    }
    unwatch(fence);
    muntin__wait_in_line(each);
  }
}

void muntin__add(muntin *connection, struct object *object, enum object_kind kind) {
  object->kind = kind;
  object->connection = connection;
  object->previous = connection->last_object;
  if (connection->last_object != NULL) connection->last_object->next = object;
  else connection->objects = object;
  connection->last_object = object;
}

static void leave_line(struct object *object) {
  muntin *connection = object->connection;
  struct object *before = NULL;
  for (struct object *each = connection->waiting; each != object; each = each->next_waiting) before = each;
  if (before != NULL) before->next_waiting = object->next_waiting;
  else connection->waiting = object->next_waiting;
  if (connection->last_waiting == object) connection->last_waiting = before;
  object->next_waiting = NULL;
  object->is_waiting = false;
}

void muntin__remove(struct object *object) {
  muntin *connection = object->connection;
  if (object->is_waiting) leave_line(object);
  if (object->previous != NULL) object->previous->next = object->next;
  else connection->objects = object->next;
  if (object->next != NULL) object->next->previous = object->previous;
  else connection->last_object = object->previous;
}

void muntin__wait_in_line(struct object *object) {
  muntin *connection = object->connection;
  if (object->is_waiting) return;
  object->is_waiting = true;
  if (connection->last_waiting != NULL) connection->last_waiting->next_waiting = object;
  else connection->waiting = object;
  connection->last_waiting = object;
}

struct object *muntin__awaiting(muntin *connection, uint64_t serial) {
  struct object *object = connection->objects;
  while (object != NULL && (serial == 0 || object->serial != serial)) object = object->next;
  return object;
}

muntin_buffer *muntin__buffer_by_id(muntin *connection, const uint8_t *id) {
  for (struct object *each = connection->objects; each != NULL; each = each->next) {
    muntin_buffer *buffer = (muntin_buffer *)each;
    if (each->kind == OBJECT_BUFFER && memcmp(buffer->id, id, MUNTIN_ID_SIZE) == 0) return buffer;
  }
  return NULL;
}

muntin_lease *muntin__lease_by_id(muntin *connection, const uint8_t *id) {
  for (struct object *each = connection->objects; each != NULL; each = each->next) {
    muntin_lease *lease = (muntin_lease *)each;
    if (each->kind != OBJECT_LEASE || lease->state != LEASE_HELD || each->is_orphan) continue;
    if (memcmp(lease->info.id, id, MUNTIN_ID_SIZE) == 0) return lease;
  }
  return NULL;
}
