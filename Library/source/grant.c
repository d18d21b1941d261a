/* Rights that one gives. */
#include "private.h"

#include <stdio.h>
#include <stdlib.h>

static const char *fault(const muntin_right *right) {
  if (right->buffer != NULL && right->name != NULL) return "a buffer or a name, not both";
  if (right->name != NULL && !muntin__is_name(right->name, MUNTIN_NAME_SIZE)) return "bad name";
  if (!muntin__is_party(right->grantee_kind, right->grantee)) return "name whom the right is for";
  return right->access == MUNTIN_READ || right->access == MUNTIN_READ_WRITE ? NULL : "unknown access";
}

int muntin_grant_give(muntin *connection, const muntin_right *right, muntin_grant **grant) {
  *grant = NULL;
  const char *why = fault(right);
  if (why != NULL) return muntin__fail(connection, MUNTIN_ERROR_INVALID, why);
  bool is_gone = right->buffer != NULL && (right->buffer->is_withdrawn || right->buffer->state == BUFFER_GONE);
  if (is_gone) return muntin__fail(connection, MUNTIN_ERROR_STATE, "the buffer is not offered");
  muntin_grant *own = calloc(1, sizeof *own);
  if (own == NULL) return muntin__fail(connection, MUNTIN_ERROR_MEMORY, "out of memory");
  own->buffer = right->buffer;
  own->access = right->access;
  own->grantee.kind = right->grantee_kind;
  snprintf(own->grantee.name, sizeof own->grantee.name, "%s", right->grantee);
  snprintf(own->name, sizeof own->name, "%s", right->name == NULL ? "" : right->name);
  muntin__add(connection, &own->object, OBJECT_GRANT);
  muntin__wait_in_line(&own->object);
  muntin__flush(connection);
  *grant = own;
  return MUNTIN_OK;
}

static bool say_give(muntin_grant *grant) {
  if (grant->buffer != NULL && grant->buffer->state != BUFFER_OFFERED) return true;
  muntin *connection = grant->object.connection;
  uint64_t serial = muntin__next_serial(connection);
  uint8_t *at = muntin__write(connection, GRANT, 232, serial, NULL, true);
  if (at == NULL) return false;
  muntin__put_party(at + 72, grant->grantee.kind, grant->grantee.name);
  if (grant->buffer != NULL) memcpy(at + 144, grant->buffer->id, MUNTIN_ID_SIZE);
  put_text(at + 160, grant->name, MUNTIN_NAME_SIZE);
  put32(at + 224, grant->access);
  grant->object.serial = serial;
  grant->state = GRANT_GIVING;
  return true;
}

static bool say_revoke(muntin_grant *grant) {
  muntin *connection = grant->object.connection;
  uint8_t *at = muntin__write(connection, REVOKE, 8, muntin__quiet_serial(connection), NULL, true);
  if (at == NULL) return false;
  put64(at, grant->number);
  muntin__free_grant(grant);
  return true;
}

bool muntin__say_grant(muntin_grant *grant) {
  if (grant->state == GRANT_TO_GIVE) return say_give(grant);
  return grant->state != GRANT_TO_REVOKE || say_revoke(grant);
}

static void to_revoke(muntin_grant *grant) {
  grant->state = GRANT_TO_REVOKE;
  muntin__wait_in_line(&grant->object);
}

enum outcome muntin__grant_accepted(muntin_grant *grant, uint64_t number, muntin_event *event) {
  grant->number = number;
  if (grant->object.is_orphan) {
    to_revoke(grant);
    return NO_EVENT;
  }
  grant->state = GRANT_GIVEN;
  event->kind = MUNTIN_EVENT_GRANTED;
  event->grant = grant;
  return EVENT;
}

enum outcome muntin__grant_refused(muntin_grant *grant, muntin_event *event) {
  if (grant->object.is_orphan) {
    muntin__free_grant(grant);
    return NO_EVENT;
  }
  grant->state = GRANT_OVER;
  event->grant = grant;
  return EVENT;
}

void muntin__grant_linked(muntin_grant *grant) {
  if (grant->object.is_orphan) {
    muntin__free_grant(grant);
    return;
  }
  if (grant->state == GRANT_OVER) return;
  grant->state = GRANT_TO_GIVE;
  muntin__wait_in_line(&grant->object);
}

void muntin__give_grants_of(muntin_buffer *buffer) {
  for (struct object *each = buffer->object.connection->objects; each != NULL; each = each->next) {
    muntin_grant *grant = (muntin_grant *)each;
    if (each->kind == OBJECT_GRANT && grant->buffer == buffer) muntin__wait_in_line(each);
  }
}

void muntin__end_grants_of(muntin_buffer *buffer) {
  for (struct object *each = buffer->object.connection->objects; each != NULL; each = each->next) {
    muntin_grant *grant = (muntin_grant *)each;
    if (each->kind != OBJECT_GRANT || grant->buffer != buffer) continue;
    grant->buffer = NULL;
    if (grant->state != GRANT_TO_REVOKE) grant->state = GRANT_OVER;
    each->serial = 0;
  }
}

void muntin_grant_revoke(muntin_grant *grant) {
  if (grant == NULL) return;
  muntin *connection = grant->object.connection;
  bool is_given = grant->state == GRANT_GIVEN || grant->state == GRANT_GIVING;
  if (!is_given || !muntin__is_linked(connection)) {
    muntin__free_grant(grant);
    return;
  }
  grant->object.is_orphan = true;
  if (grant->state == GRANT_GIVEN) to_revoke(grant);
  muntin__flush(connection);
}

void muntin__free_grant(muntin_grant *grant) {
  muntin__remove(&grant->object);
  free(grant);
}
