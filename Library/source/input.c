/* What each message from the hub does. */
#include "private.h"

#include <stdio.h>

/* Whether a message has that length, and a descriptor at most if it may. */
static bool is_plain(const struct incoming *message, size_t size) {
  return message->size == size && message->descriptor < 0;
}

static enum outcome refused(muntin *connection, uint64_t serial, muntin_event *event) {
  struct object *object = muntin__awaiting(connection, serial);
  event->kind = MUNTIN_EVENT_REFUSED;
  event->serial = serial;
  event->text = connection->event_text;
  if (object == NULL) return muntin__is_quiet(serial) ? NO_EVENT : EVENT;
  object->serial = 0;
  switch (object->kind) {
  case OBJECT_BUFFER: return muntin__buffer_refused((muntin_buffer *)object, event);
  case OBJECT_LEASE: return muntin__lease_refused((muntin_lease *)object, event->error, event);
  case OBJECT_GRANT: return muntin__grant_refused((muntin_grant *)object, event);
  }
  return NO_EVENT;
}

static enum outcome handle_error(muntin *connection, struct incoming *message, muntin_event *event) {
  char reason[120];
  if (!is_plain(message, 128) || !muntin__get_text(message->payload + 8, reason, sizeof reason)) return BAD_MESSAGE;
  uint32_t code = get32(message->payload);
  if (code == 0 || code > 12) return BAD_MESSAGE;
  event->error = -(int)code;
  if (code < 8 || code > 11) return muntin__ended_by_hub(connection, -(int)code, reason);
  snprintf(connection->event_text, sizeof connection->event_text, "%s", reason);
  return refused(connection, message->serial, event);
}

static enum outcome handle_accepted(muntin *connection, struct incoming *message, muntin_event *event) {
  if (!is_plain(message, 8)) return BAD_MESSAGE;
  struct object *object = muntin__awaiting(connection, message->serial);
  event->kind = MUNTIN_EVENT_ACCEPTED;
  event->serial = message->serial;
  event->number = get64(message->payload);
  if (object == NULL) return muntin__is_quiet(message->serial) ? NO_EVENT : EVENT;
  if (object->kind == OBJECT_LEASE) return BAD_MESSAGE;
  object->serial = 0;
  if (object->kind == OBJECT_BUFFER) return muntin__buffer_accepted((muntin_buffer *)object, event);
  return muntin__grant_accepted((muntin_grant *)object, event->number, event);
}

static enum outcome handle_acquired(muntin *connection, struct incoming *message, muntin_event *event) {
  bool is_good = message->descriptor >= 0 && muntin__get_info(message->payload, message->size, &connection->info);
  if (!is_good) return BAD_MESSAGE;
  struct object *object = muntin__awaiting(connection, message->serial);
  if (object == NULL) return NO_EVENT;
  if (object->kind != OBJECT_LEASE) return BAD_MESSAGE;
  object->serial = 0;
  event->serial = message->serial;
  return muntin__lease_acquired((muntin_lease *)object, &message->descriptor, event);
}

/* What is said of a lease that was released meanwhile interests nobody. */
static enum outcome about_lease(muntin *connection, struct incoming *message, muntin_event *event) {
  event->lease = muntin__lease_by_id(connection, message->payload);
  return event->lease != NULL ? EVENT : NO_EVENT;
}

static enum outcome handle_updated(muntin *connection, struct incoming *message, muntin_event *event) {
  if (message->size != 40) return BAD_MESSAGE;
  event->kind = MUNTIN_EVENT_UPDATED;
  event->damage = muntin__get_rectangle(message->payload + 16);
  event->generation = get64(message->payload + 32);
  enum outcome outcome = about_lease(connection, message, event);
  if (outcome == EVENT) event->lease->generation = event->generation;
  return outcome;
}

static enum outcome handle_ended(muntin *connection, struct incoming *message, muntin_event *event) {
  if (!is_plain(message, 24)) return BAD_MESSAGE;
  event->kind = message->type == REVOKED ? MUNTIN_EVENT_REVOKED : MUNTIN_EVENT_RETIRED;
  event->milliseconds = get32(message->payload + 16);
  enum outcome outcome = about_lease(connection, message, event);
  if (outcome == EVENT) event->lease->has_ended = true;
  return outcome;
}

static enum outcome about_buffer(muntin *connection, struct incoming *message, muntin_event *event) {
  event->buffer = muntin__buffer_by_id(connection, message->payload);
  return event->buffer != NULL && !event->buffer->object.is_orphan ? EVENT : NO_EVENT;
}

static enum outcome handle_done(muntin *connection, struct incoming *message, muntin_event *event) {
  if (message->size != 32) return BAD_MESSAGE;
  event->kind = MUNTIN_EVENT_DONE;
  event->generation = get64(message->payload + 16);
  event->holder = get32(message->payload + 24);
  event->remaining = get32(message->payload + 28);
  enum outcome outcome = about_buffer(connection, message, event);
  /* Of an older generation it says nothing of the one that was sent meanwhile. */
  if (outcome == EVENT && event->generation >= event->buffer->generation)
    event->buffer->is_idle = event->remaining == 0;
  return outcome;
}

static enum outcome handle_buffer_word(muntin *connection, struct incoming *message, muntin_event *event) {
  if (!is_plain(message, 16)) return BAD_MESSAGE;
  enum outcome outcome = about_buffer(connection, message, event);
  if (outcome == NO_EVENT) return NO_EVENT;
  if (message->type == BUFFER_FREED) return muntin__buffer_freed(event->buffer, event);
  event->kind = MUNTIN_EVENT_STILL_MAPPED;
  event->buffer->is_still_mapped = true;
  return EVENT;
}

static enum outcome handle_wanted(muntin *connection, struct incoming *message, muntin_event *event) {
  if (!is_plain(message, 24)) return BAD_MESSAGE;
  enum outcome outcome = about_buffer(connection, message, event);
  if (outcome == NO_EVENT) return NO_EVENT;
  return muntin__buffer_wanted(event->buffer, get64(message->payload + 16), event);
}

static enum outcome handle_taken(muntin *connection, struct incoming *message, muntin_event *event) {
  if (!is_plain(message, 32)) return BAD_MESSAGE;
  enum outcome outcome = about_buffer(connection, message, event);
  if (outcome == NO_EVENT) return NO_EVENT;
  return muntin__buffer_taken(event->buffer, get64(message->payload + 16), get32(message->payload + 24), event);
}

static enum outcome handle_info(muntin *connection, struct incoming *message, muntin_event *event) {
  if (message->descriptor >= 0 || !muntin__get_info(message->payload, message->size, &connection->info))
    return BAD_MESSAGE;
  event->kind = MUNTIN_EVENT_INFO;
  event->serial = message->serial;
  event->info = &connection->info;
  return EVENT;
}

static enum outcome handle_grant_record(muntin *connection, struct incoming *message, muntin_event *event) {
  if (!is_plain(message, 248) || !muntin__get_grant_record(message->payload, &connection->grant_record))
    return BAD_MESSAGE;
  event->kind = MUNTIN_EVENT_GRANT_RECORD;
  event->serial = message->serial;
  event->grant_record = &connection->grant_record;
  return EVENT;
}

static enum outcome handle_list_end(struct incoming *message, muntin_event *event) {
  if (!is_plain(message, 16)) return BAD_MESSAGE;
  event->kind = MUNTIN_EVENT_LIST_END;
  event->serial = message->serial;
  event->count = get32(message->payload);
  event->number = get64(message->payload + 8);
  return EVENT;
}

static enum outcome handle_requirements(muntin *connection, struct incoming *message, muntin_event *event) {
  bool is_good = is_plain(message, CONSTRAINTS_SIZE) && muntin__get_constraints(message->payload, &connection->merged);
  if (!is_good) return BAD_MESSAGE;
  event->kind = MUNTIN_EVENT_REQUIREMENTS;
  event->serial = message->serial;
  event->constraints = &connection->merged;
  return EVENT;
}

enum outcome muntin__handle(muntin *connection, struct incoming *message, muntin_event *event) {
  switch (message->type) {
  case ERROR_MESSAGE: return handle_error(connection, message, event);
  case ACCEPTED: return handle_accepted(connection, message, event);
  case ACQUIRED: return handle_acquired(connection, message, event);
  case UPDATED: return handle_updated(connection, message, event);
  case REVOKED:
  case RETIRED: return handle_ended(connection, message, event);
  case BUFFER_DONE: return handle_done(connection, message, event);
  case BUFFER_FREED:
  case BUFFER_REVOKED: return handle_buffer_word(connection, message, event);
  case BUFFER_WANTED: return handle_wanted(connection, message, event);
  case BUFFER_TAKEN: return handle_taken(connection, message, event);
  case BUFFER_INFO: return handle_info(connection, message, event);
  case QUERY_END: return handle_list_end(message, event);
  case GRANT_RECORD: return handle_grant_record(connection, message, event);
  case REQUIREMENTS_MERGED: return handle_requirements(connection, message, event);
  default: return BAD_MESSAGE;
  }
}
