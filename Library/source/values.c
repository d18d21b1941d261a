/* Errors, ids and properties as texts. */
#include "private.h"

#include <stdio.h>

const char *muntin_error_text(int error) {
  switch (error) {
  case MUNTIN_OK: return "no error";
  case MUNTIN_ERROR_MALFORMED: return "malformed message";
  case MUNTIN_ERROR_VERSION: return "the hub speaks another version";
  case MUNTIN_ERROR_NOT_PERMITTED: return "not permitted";
  case MUNTIN_ERROR_NAME_IN_USE: return "the name is in use";
  case MUNTIN_ERROR_LIMIT: return "too many connections or requests";
  case MUNTIN_ERROR_BAD_BUFFER: return "unusable buffer";
  case MUNTIN_ERROR_UNKNOWN_OBJECT: return "unknown object";
  case MUNTIN_ERROR_NOT_FOUND: return "not found";
  case MUNTIN_ERROR_OVER_LIMIT: return "over the limit";
  case MUNTIN_ERROR_DISAGREEMENT: return "constraints disagree";
  case MUNTIN_ERROR_NAME_TAKEN: return "the name is taken by another buffer";
  case MUNTIN_ERROR_REVOKED: return "not released in time";
  case MUNTIN_ERROR_INVALID: return "invalid argument";
  case MUNTIN_ERROR_MEMORY: return "out of memory";
  case MUNTIN_ERROR_SYSTEM: return "a system call failed";
  case MUNTIN_ERROR_NO_HUB: return "no hub";
  case MUNTIN_ERROR_HUNG_UP: return "the hub hung up";
  case MUNTIN_ERROR_BAD_PEER: return "the hub breaks the protocol";
  case MUNTIN_ERROR_BUSY: return "busy, try again";
  case MUNTIN_ERROR_STATE: return "not possible in this state";
  default: return "unknown error";
  }
}

int muntin__fail(muntin *connection, int error, const char *words) {
  if (connection != NULL && words != connection->error_text) {
    snprintf(connection->error_text, sizeof connection->error_text, "%s", words);
  }
  return error;
}

int muntin__fail_with_errno(muntin *connection, const char *call, int error_number) {
  if (connection != NULL && error_number == 0) return muntin__fail(connection, MUNTIN_ERROR_SYSTEM, call);
  if (connection != NULL) {
    snprintf(connection->error_text, sizeof connection->error_text, "%s: %s", call, strerror(error_number));
  }
  return MUNTIN_ERROR_SYSTEM;
}

const char *muntin_last_error(const muntin *connection) { return connection->error_text; }

const char *muntin_info_property(const muntin_info *info, const char *name) {
  for (uint32_t index = 0; index < info->property_count; index++) {
    if (strcmp(info->properties[index].name, name) == 0) return info->properties[index].value;
  }
  return NULL;
}

static bool has_dash_before(size_t byte) { return byte == 4 || byte == 6 || byte == 8 || byte == 10; }

void muntin_id_to_text(const uint8_t id[MUNTIN_ID_SIZE], char text[MUNTIN_ID_TEXT_SIZE]) {
  static const char digits[] = "0123456789abcdef";
  for (size_t index = 0; index < MUNTIN_ID_SIZE; index++) {
    if (has_dash_before(index)) *text++ = '-';
    *text++ = digits[id[index] >> 4];
    *text++ = digits[id[index] & 15];
  }
  *text = 0;
}

static int digit(char character) {
  if (character >= '0' && character <= '9') return character - '0';
  if (character >= 'a' && character <= 'f') return character - 'a' + 10;
  if (character >= 'A' && character <= 'F') return character - 'A' + 10;
  return -1;
}

int muntin_id_from_text(const char *text, uint8_t id[MUNTIN_ID_SIZE]) {
  if (text == NULL || strlen(text) != MUNTIN_ID_TEXT_SIZE - 1) return MUNTIN_ERROR_INVALID;
  for (size_t index = 0; index < MUNTIN_ID_SIZE; index++) {
    if (has_dash_before(index) && *text++ != '-') return MUNTIN_ERROR_INVALID;
    int high = digit(text[0]), low = digit(text[1]);
    if (high < 0 || low < 0) return MUNTIN_ERROR_INVALID;
    id[index] = (uint8_t)(high << 4 | low);
    text += 2;
  }
  return muntin__is_zero(id, MUNTIN_ID_SIZE) ? MUNTIN_ERROR_INVALID : MUNTIN_OK;
}
