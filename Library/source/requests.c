/* Requests with one answer, and what they name. */
#include "private.h"

bool muntin__is_party(uint32_t kind, const char *name) {
  return kind >= MUNTIN_VM && kind <= MUNTIN_DISPLAY && muntin__is_name(name, MUNTIN_NAME_SIZE);
}

bool muntin__is_selector(const muntin_selector *selector) {
  if (selector->id != NULL) return !muntin__is_zero(selector->id, MUNTIN_ID_SIZE);
  return muntin__is_party(selector->owner_kind, selector->owner) && muntin__is_name(selector->name, MUNTIN_NAME_SIZE);
}

void muntin__put_selector(uint8_t *at, const uint8_t *id, uint32_t owner_kind, const char *owner, const char *name) {
  if (id != NULL) {
    memcpy(at, id, MUNTIN_ID_SIZE);
    return;
  }
  muntin__put_party(at + 16, owner_kind, owner);
  put_text(at + 88, name, MUNTIN_NAME_SIZE);
}

/* Sends what was written. */
static int sent(muntin *connection) {
  muntin__flush(connection);
  return MUNTIN_OK;
}

/* What muntin__request() failed with. */
static int not_sent(const muntin *connection) {
  return muntin__is_linked(connection) ? MUNTIN_ERROR_BUSY : MUNTIN_ERROR_NO_HUB;
}

int muntin_lookup(muntin *connection, const muntin_selector *selector, uint64_t *serial) {
  if (!muntin__is_selector(selector)) {
    return muntin__fail(connection, MUNTIN_ERROR_INVALID, "select a buffer by id, or by owner and name");
  }
  uint8_t *at = muntin__request(connection, LOOKUP, 152, serial);
  if (at == NULL) return not_sent(connection);
  muntin__put_selector(at, selector->id, selector->owner_kind, selector->owner, selector->name);
  return sent(connection);
}

static const char *filter_fault(const muntin_filter *filter) {
  bool is_owner = filter->owner == NULL ? filter->owner_kind <= MUNTIN_DISPLAY
                                        : muntin__is_party(filter->owner_kind, filter->owner);
  if (!is_owner) return "bad owner";
  if (filter->access > MUNTIN_READ_WRITE) return "unknown access";
  if (filter->name != NULL && !muntin__is_name(filter->name, MUNTIN_NAME_SIZE)) return "bad name";
  if (filter->property != NULL && !muntin__is_text(filter->property, MUNTIN_PROPERTY_NAME_SIZE)) return "bad property";
  if (filter->value == NULL) return NULL;
  if (filter->property == NULL || filter->property[0] == 0) return "a value without a property";
  return muntin__is_text(filter->value, MUNTIN_PROPERTY_VALUE_SIZE) ? NULL : "bad value";
}

int muntin_list(muntin *connection, const muntin_filter *filter, uint64_t cursor, uint64_t *serial) {
  static const muntin_filter anything = {.access = MUNTIN_READ};
  if (filter == NULL) filter = &anything;
  const char *why = filter_fault(filter);
  if (why != NULL) return muntin__fail(connection, MUNTIN_ERROR_INVALID, why);
  uint8_t *at = muntin__request(connection, QUERY, 320, serial);
  if (at == NULL) return not_sent(connection);
  put64(at, cursor);
  put32(at + 8, filter->access == 0 ? MUNTIN_READ : filter->access);
  put32(at + 12, filter->format);
  muntin__put_party(at + 16, filter->owner_kind, filter->owner);
  if (filter->name != NULL) put_text(at + 88, filter->name, MUNTIN_NAME_SIZE);
  if (filter->property != NULL) put_text(at + 152, filter->property, MUNTIN_PROPERTY_NAME_SIZE);
  if (filter->value != NULL) put_text(at + 184, filter->value, MUNTIN_PROPERTY_VALUE_SIZE);
  return sent(connection);
}

int muntin_revoke_number(muntin *connection, uint64_t number, uint64_t *serial) {
  uint8_t *at = muntin__request(connection, REVOKE, 8, serial);
  if (at == NULL) return not_sent(connection);
  put64(at, number);
  return sent(connection);
}

int muntin_list_grants(muntin *connection, uint64_t cursor, uint64_t *serial) {
  uint8_t *at = muntin__request(connection, GRANTS, 8, serial);
  if (at == NULL) return not_sent(connection);
  put64(at, cursor);
  return sent(connection);
}

int muntin_set_constraints(muntin *connection, const muntin_constraints *constraints) {
  static const muntin_constraints none;
  const muntin_constraints *own = constraints == NULL ? &none : constraints;
  bool is_good = own->format_count <= MUNTIN_MAXIMUM_FORMATS && own->modifier_count <= MUNTIN_MAXIMUM_MODIFIERS &&
                 own->cacheability <= 7 && own->memory_kinds <= 7;
  if (!is_good) return muntin__fail(connection, MUNTIN_ERROR_INVALID, "bad constraints");
  connection->constraints = *own;
  connection->has_constraints = connection->wait_for_constraints = true;
  muntin__flush(connection);
  return MUNTIN_OK;
}

int muntin_require(muntin *connection, const muntin_party *parties, size_t count, uint64_t *serial) {
  bool is_good = count > 0 && count <= MUNTIN_MAXIMUM_PARTIES;
  for (size_t index = 0; is_good && index < count; index++) {
    is_good = muntin__is_party(parties[index].kind, parties[index].name);
  }
  if (!is_good) return muntin__fail(connection, MUNTIN_ERROR_INVALID, "name 1 to 16 parties");
  uint8_t *at = muntin__request(connection, REQUIREMENTS, 8 + count * PARTY_SIZE, serial);
  if (at == NULL) return not_sent(connection);
  put32(at, (uint32_t)count);
  for (size_t index = 0; index < count; index++) {
    muntin__put_party(at + 8 + index * PARTY_SIZE, parties[index].kind, parties[index].name);
  }
  return sent(connection);
}
