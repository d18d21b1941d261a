/* Buffers of others. */
#include "private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SHORTEST_WAIT = 50, LONGEST_WAIT = 1000, PATIENCE = 10000 }; /* milliseconds */

/* ---- Acquiring ---- */

/* One connection has one lease of a buffer: two handles for it would end each other's. */
static bool is_held(muntin *connection, const muntin_selector *selector) {
  if (selector->id != NULL) return muntin__lease_by_id(connection, selector->id) != NULL;
  for (struct object *each = connection->objects; each != NULL; each = each->next) {
    const muntin_info *info = &((muntin_lease *)each)->info;
    if (each->kind != OBJECT_LEASE || ((muntin_lease *)each)->state != LEASE_HELD || each->is_orphan) continue;
    bool is_owner = info->owner.kind == selector->owner_kind && strcmp(info->owner.name, selector->owner) == 0;
    if (is_owner && strcmp(info->name, selector->name) == 0) return true;
  }
  return false;
}

static const char *fault(const muntin_selector *selector, muntin_access access, uint32_t flags) {
  if (!muntin__is_selector(selector)) return "select a buffer by id, or by owner and name";
  if (access != MUNTIN_READ && access != MUNTIN_READ_WRITE) return "unknown access";
  if ((flags & ~(uint32_t)(MUNTIN_UPDATES | MUNTIN_WAIT_FOR_IT | MUNTIN_KEEPS)) != 0) return "unknown flags";
  return selector->id != NULL && (flags & MUNTIN_WAIT_FOR_IT) != 0 ? "only a name can be waited for" : NULL;
}

int muntin_lease_acquire(muntin *connection, const muntin_selector *selector, muntin_access access, uint32_t flags,
                         muntin_lease **lease) {
  *lease = NULL;
  const char *why = fault(selector, access, flags);
  if (why != NULL) return muntin__fail(connection, MUNTIN_ERROR_INVALID, why);
  if (is_held(connection, selector)) return muntin__fail(connection, MUNTIN_ERROR_STATE, "acquired already");
  muntin_lease *own = calloc(1, sizeof *own);
  if (own == NULL) return muntin__fail(connection, MUNTIN_ERROR_MEMORY, "out of memory");
  own->has_id = selector->id != NULL;
  own->access = access;
  own->flags = flags;
  if (own->has_id) {
    memcpy(own->id, selector->id, MUNTIN_ID_SIZE);
  } else {
    own->owner.kind = selector->owner_kind;
    snprintf(own->owner.name, sizeof own->owner.name, "%s", selector->owner);
    snprintf(own->name, sizeof own->name, "%s", selector->name);
  }
  muntin__add(connection, &own->object, OBJECT_LEASE);
  muntin__wait_in_line(&own->object);
  muntin__flush(connection);
  *lease = own;
  return MUNTIN_OK;
}

/* ---- What the hub is told ---- */

static bool say_acquire(muntin_lease *lease, const uint8_t *id, uint64_t serial) {
  uint8_t *at = muntin__write(lease->object.connection, ACQUIRE, 160, serial, NULL, true);
  if (at == NULL) return false;
  muntin__put_selector(at, id, lease->owner.kind, lease->owner.name, lease->name);
  put32(at + 152, lease->access);
  put32(at + 156, id == NULL ? lease->flags : lease->flags & ~(uint32_t)MUNTIN_WAIT_FOR_IT);
  return true;
}

static bool say_first_acquire(muntin_lease *lease) {
  uint64_t serial = muntin__next_serial(lease->object.connection);
  if (!say_acquire(lease, lease->has_id ? lease->id : NULL, serial)) return false;
  lease->object.serial = serial;
  lease->state = LEASE_ACQUIRING;
  return true;
}

static bool say_done(muntin_lease *lease) {
  muntin *connection = lease->object.connection;
  if (muntin__must_wait(connection, lease->done_fence)) return true;
  uint8_t *at = muntin__write(connection, DONE, 24, 0, muntin__passed(connection, lease->done_fence), false);
  if (at == NULL) return false;
  memcpy(at, lease->info.id, MUNTIN_ID_SIZE);
  put64(at + 16, lease->done_generation);
  muntin__let_go(&lease->done_fence);
  lease->has_done = false;
  return true;
}

static bool is_about(const muntin_lease *lease, const muntin_info *info) {
  if (lease->has_id) return memcmp(lease->id, info->id, MUNTIN_ID_SIZE) == 0;
  return info->owner.kind == lease->owner.kind && strcmp(info->owner.name, lease->owner.name) == 0 &&
         strcmp(info->name, lease->name) == 0;
}

/* A release ends the connection's one lease of a buffer: a handle that asked for it meanwhile has to ask again. */
static void renew_others(const muntin_lease *released) {
  for (struct object *each = released->object.connection->objects; each != NULL; each = each->next) {
    muntin_lease *other = (muntin_lease *)each;
    if (each->kind != OBJECT_LEASE || each->is_orphan || !is_about(other, &released->info)) continue;
    if (other->state != LEASE_ACQUIRING && other->state != LEASE_HELD) continue;
    other->has_to_renew = true;
    muntin__wait_in_line(each);
  }
}

static bool say_release(muntin_lease *lease) {
  uint8_t *at = muntin__write(lease->object.connection, RELEASE, 16, 0, NULL, false);
  if (at == NULL) return false;
  memcpy(at, lease->info.id, MUNTIN_ID_SIZE);
  renew_others(lease);
  muntin__free_lease(lease);
  return true;
}

/* It is answered by an error, or by a lease that is released then. */
static bool say_cancel(muntin_lease *lease) {
  uint8_t *at = muntin__write(lease->object.connection, CANCEL, 8, 0, NULL, true);
  if (at == NULL) return false;
  put64(at, lease->object.serial);
  lease->has_to_cancel = false;
  return true;
}

bool muntin__say_lease(muntin_lease *lease) {
  if (lease->state == LEASE_TO_ACQUIRE) return say_first_acquire(lease);
  if (lease->state == LEASE_ACQUIRING && lease->has_to_cancel) return say_cancel(lease);
  if (lease->state != LEASE_HELD) return true;
  if (lease->object.is_orphan) return say_release(lease);
  if (lease->has_to_renew) {
    if (!say_acquire(lease, lease->info.id, muntin__quiet_serial(lease->object.connection))) return false;
    lease->has_to_renew = false;
  }
  return !lease->has_done || say_done(lease);
}

/* ---- What the hub says ---- */

/* Another handle has this buffer: it stays the one, and the hub is told its access and flags again. */
static enum outcome give_way(muntin_lease *lease, muntin_lease *other, muntin_event *event) {
  other->has_to_renew = true;
  muntin__wait_in_line(&other->object);
  if (lease->object.is_orphan) {
    muntin__free_lease(lease);
    return NO_EVENT;
  }
  lease->state = LEASE_OVER;
  event->kind = MUNTIN_EVENT_REFUSED;
  event->error = MUNTIN_ERROR_STATE;
  event->text = "acquired already";
  event->lease = lease;
  return EVENT;
}

static bool is_what_was_asked_for(const muntin_lease *lease, const muntin_info *info) {
  bool is_kind = info->memory_kind == MUNTIN_MEMORY_FILE || info->memory_kind == MUNTIN_MEMORY_DMA_BUF;
  return is_kind && info->access == (uint32_t)lease->access && is_about(lease, info);
}

enum outcome muntin__lease_acquired(muntin_lease *lease, int *descriptor, muntin_event *event) {
  muntin *connection = lease->object.connection;
  if (!is_what_was_asked_for(lease, &connection->info)) return BAD_MESSAGE;
  muntin_lease *other = muntin__lease_by_id(connection, connection->info.id);
  if (other != NULL) return give_way(lease, other, event);
  lease->info = connection->info;
  lease->generation = connection->info.generation;
  lease->has_info = true;
  lease->state = LEASE_HELD;
  if (lease->object.is_orphan || lease->has_to_renew) muntin__wait_in_line(&lease->object);
  if (lease->object.is_orphan) return NO_EVENT;
  muntin__let_go(&lease->memory);
  lease->memory = muntin__adopt(*descriptor);
  *descriptor = -1;
  lease->is_mapping_stale = lease->mapping != NULL;
  event->kind = MUNTIN_EVENT_ACQUIRED;
  event->lease = lease;
  event->info = &lease->info;
  return EVENT;
}

/* Its owner may not have come back to the hub yet. */
static bool tries_again(muntin_lease *lease, int error) {
  uint64_t now = muntin__now();
  if (!lease->is_again || error != MUNTIN_ERROR_NOT_FOUND || now >= lease->give_up_at) return false;
  lease->state = LEASE_RETRYING;
  lease->retry_at = now + lease->retry_wait;
  lease->retry_wait = lease->retry_wait * 2 > LONGEST_WAIT ? LONGEST_WAIT : lease->retry_wait * 2;
  lease->object.connection->retrying++;
  return true;
}

enum outcome muntin__lease_refused(muntin_lease *lease, int error, muntin_event *event) {
  if (lease->object.is_orphan) {
    muntin__free_lease(lease);
    return NO_EVENT;
  }
  if (tries_again(lease, error)) return NO_EVENT;
  lease->state = LEASE_OVER;
  lease->has_ended = true;
  event->lease = lease;
  if (!lease->is_again) return EVENT;
  event->kind = MUNTIN_EVENT_RETIRED;
  return EVENT;
}

void muntin__retry_leases(muntin *connection) {
  if (connection->retrying == 0) return;
  uint64_t now = muntin__now();
  for (struct object *each = connection->objects; each != NULL; each = each->next) {
    muntin_lease *lease = (muntin_lease *)each;
    if (each->kind != OBJECT_LEASE || lease->state != LEASE_RETRYING || lease->retry_at > now) continue;
    lease->state = LEASE_TO_ACQUIRE;
    connection->retrying--;
    muntin__wait_in_line(each);
  }
}

uint64_t muntin__next_retry(const muntin *connection) {
  uint64_t next = UINT64_MAX;
  if (connection->retrying == 0) return next;
  for (const struct object *each = connection->objects; each != NULL; each = each->next) {
    const muntin_lease *lease = (const muntin_lease *)each;
    if (each->kind != OBJECT_LEASE || lease->state != LEASE_RETRYING) continue;
    if (lease->retry_at < next) next = lease->retry_at;
  }
  return next;
}

/* A hub that is new to this knows of no lease. */
void muntin__lease_linked(muntin_lease *lease) {
  if (lease->state == LEASE_RETRYING) lease->object.connection->retrying--;
  lease->has_done = lease->has_to_renew = false;
  muntin__let_go(&lease->done_fence);
  if (lease->object.is_orphan) {
    lease->state = LEASE_OVER;
    muntin__free_lease(lease);
    return;
  }
  if (lease->state == LEASE_OVER || lease->has_ended) {
    lease->state = LEASE_OVER;
    return;
  }
  if (lease->state == LEASE_HELD) lease->is_again = true;
  lease->give_up_at = muntin__now() + PATIENCE;
  lease->retry_wait = SHORTEST_WAIT;
  lease->state = LEASE_TO_ACQUIRE;
  muntin__wait_in_line(&lease->object);
}

/* ---- Using it ---- */

static void unmap(muntin_lease *lease) {
  if (lease->mapping != NULL) munmap(lease->mapping, lease->mapping_size);
  lease->mapping = lease->pixels = NULL;
}

int muntin_lease_map(muntin_lease *lease, void **pixels) {
  muntin *connection = lease->object.connection;
  *pixels = NULL;
  if (lease->memory == NULL) return muntin__fail(connection, MUNTIN_ERROR_STATE, "not acquired");
  if (lease->mapping == NULL || lease->is_mapping_stale) {
    const char *why = connection->memory->lease_fault(&lease->info, lease->memory->fd);
    if (why != NULL) return muntin__fail(connection, MUNTIN_ERROR_BAD_PEER, why);
    uint64_t shift = lease->info.memory_offset % (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t size = lease->info.byte_count + shift;
    if (size > SIZE_MAX) return muntin__fail_with_errno(connection, "mmap", ENOMEM);
    int protection = lease->access == MUNTIN_READ ? PROT_READ : PROT_READ | PROT_WRITE;
    void *mapping;
    int error = connection->memory->map(connection->context, lease->memory->fd, lease->info.memory_offset - shift,
                                        (size_t)size, protection, &mapping);
    if (error < 0) return muntin__fail_with_errno(connection, "mmap", -error);
    unmap(lease);
    lease->mapping = mapping;
    lease->mapping_size = (size_t)size;
    lease->pixels = (uint8_t *)mapping + shift + lease->info.layout.offset;
    lease->is_mapping_stale = false;
  }
  uint64_t share = lease->info.byte_count / lease->info.images;
  *pixels = (uint8_t *)lease->pixels + share * (lease->generation % lease->info.images);
  return MUNTIN_OK;
}

int muntin_lease_done(muntin_lease *lease, uint64_t generation, int release_fence) {
  muntin *connection = lease->object.connection;
  struct descriptor *fence = NULL;
  int error;
  if (lease->state != LEASE_HELD) return muntin__fail(connection, MUNTIN_ERROR_STATE, "not acquired");
  if (release_fence >= 0 && (fence = muntin__duplicate(release_fence, &error)) == NULL) {
    return muntin__fail(connection, error, "this cannot be a fence");
  }
  muntin__let_go(&lease->done_fence);
  lease->done_fence = fence;
  lease->done_generation = generation;
  lease->has_done = true;
  muntin__wait_in_line(&lease->object);
  muntin__flush(connection);
  return MUNTIN_OK;
}

void muntin_lease_release(muntin_lease *lease) {
  if (lease == NULL) return;
  muntin *connection = lease->object.connection;
  bool is_unfinished = lease->state == LEASE_HELD || lease->state == LEASE_ACQUIRING;
  if (!is_unfinished || !muntin__is_linked(connection)) {
    muntin__free_lease(lease);
    return;
  }
  unmap(lease);
  muntin__let_go(&lease->memory);
  lease->object.is_orphan = true;
  lease->has_to_cancel = lease->state == LEASE_ACQUIRING && (lease->flags & MUNTIN_WAIT_FOR_IT) != 0;
  if (lease->state == LEASE_HELD || lease->has_to_cancel) muntin__wait_in_line(&lease->object);
  muntin__flush(connection);
}

void muntin__free_lease(muntin_lease *lease) {
  if (lease->state == LEASE_RETRYING) lease->object.connection->retrying--;
  unmap(lease);
  muntin__let_go(&lease->memory);
  muntin__let_go(&lease->done_fence);
  muntin__remove(&lease->object);
  free(lease);
}

/* ---- Looking at it ---- */

const muntin_info *muntin_lease_info(const muntin_lease *lease) { return lease->has_info ? &lease->info : NULL; }

int muntin_lease_fd(const muntin_lease *lease) { return lease->memory == NULL ? -1 : lease->memory->fd; }

void muntin_lease_set_data(muntin_lease *lease, void *data) { lease->data = data; }

void *muntin_lease_data(const muntin_lease *lease) { return lease->data; }
