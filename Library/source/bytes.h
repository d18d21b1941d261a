/* Little-endian numbers and checked texts in a message's bytes. */
#ifndef MUNTIN_BYTES_H
#define MUNTIN_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] | at[1] << 8); }

static inline uint32_t get32(const uint8_t *at) { return get16(at) | (uint32_t)get16(at + 2) << 16; }

static inline uint64_t get64(const uint8_t *at) { return get32(at) | (uint64_t)get32(at + 4) << 32; }

static inline void put16(uint8_t *at, uint16_t value) {
  at[0] = (uint8_t)value;
  at[1] = (uint8_t)(value >> 8);
}

static inline void put32(uint8_t *at, uint32_t value) {
  put16(at, (uint16_t)value);
  put16(at + 2, (uint16_t)(value >> 16));
}

static inline void put64(uint8_t *at, uint64_t value) {
  put32(at, (uint32_t)value);
  put32(at + 4, (uint32_t)(value >> 32));
}

/* A field of `size` bytes: the text, then zeros. The text fits. */
static inline void put_text(uint8_t *at, const char *text, size_t size) {
  size_t length = strlen(text);
  memcpy(at, text, length);
  memset(at + length, 0, size - length);
}

/* Whether text is UTF-8 of less than `size` bytes. */
bool muntin__is_text(const char *text, size_t size);
/* Whether it is that, not empty, and without control characters. */
bool muntin__is_name(const char *text, size_t size);
/* Reads a field of `size` bytes into `text`, which has as many: false unless it is UTF-8, a zero, and zeros. */
bool muntin__get_text(const uint8_t *at, char *text, size_t size);

#endif
