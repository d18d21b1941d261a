/* strnlen() */
#define _XOPEN_SOURCE 700

#include "bytes.h"

/* Length of the UTF-8 sequence at `at`, 0 if there is none. A zero ends it: it never looks beyond a text's end. */
static size_t sequence_length(const uint8_t *at) {
  if (at[0] < 0x80) return 1;
  size_t length = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
  if (at[0] < 0xc2 || at[0] > 0xf4) return 0;
  for (size_t index = 1; index < length; index++) {
    if ((at[index] & 0xc0) != 0x80) return 0;
  }
  bool is_overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
  bool is_surrogate = at[0] == 0xed && at[1] > 0x9f;
  bool is_too_high = at[0] == 0xf4 && at[1] > 0x8f;
  return is_overlong || is_surrogate || is_too_high ? 0 : length;
}

bool muntin__is_text(const char *text, size_t size) {
  if (text == NULL || strnlen(text, size) == size) return false;
  for (const uint8_t *at = (const uint8_t *)text; *at != 0;) {
    size_t length = sequence_length(at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

bool muntin__is_name(const char *text, size_t size) {
  if (!muntin__is_text(text, size) || text[0] == 0) return false;
  for (const char *at = text; *at != 0; at++) {
    if ((uint8_t)*at < 0x20 || *at == 0x7f) return false;
  }
  return true;
}

bool muntin__get_text(const uint8_t *at, char *text, size_t size) {
  memcpy(text, at, size);
  size_t length = strnlen(text, size);
  for (size_t index = length; index < size; index++) {
    if (text[index] != 0) return false;
  }
  return muntin__is_text(text, size);
}
