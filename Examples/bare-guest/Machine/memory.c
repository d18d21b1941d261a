// What compiled Swift calls by name: four functions on bytes, and an allocator.
//
// The allocator only ever goes forward: this guest draws one picture. An operating system puts its own here.

#include <stddef.h>
#include <stdint.h>

#include "machine.h"

void *memcpy(void *restrict target, const void *restrict source, size_t count) {
    uint8_t *to = target;
    const uint8_t *from = source;
    for (size_t i = 0; i < count; i++) to[i] = from[i];
    return target;
}

void *memmove(void *target, const void *source, size_t count) {
    uint8_t *to = target;
    const uint8_t *from = source;
    if (to < from) return memcpy(target, source, count);
    while (count-- > 0) to[count] = from[count];
    return target;
}

void *memset(void *target, int value, size_t count) {
    uint8_t *to = target;
    for (size_t i = 0; i < count; i++) to[i] = (uint8_t)value;
    return target;
}

int memcmp(const void *left, const void *right, size_t count) {
    const uint8_t *a = left, *b = right;
    for (size_t i = 0; i < count; i++)
        if (a[i] != b[i]) return a[i] - b[i];
    return 0;
}

int posix_memalign(void **result, size_t alignment, size_t count) {
    static uintptr_t next;
    if (next == 0) next = machine_heap_begin();
    uintptr_t start = (next + alignment - 1) & ~(uintptr_t)(alignment - 1);
    if (start > machine_heap_limit() || count > machine_heap_limit() - start) return 12; // ENOMEM
    next = start + count;
    *result = (void *)start;
    return 0;
}

void free(void *pointer) { (void)pointer; }
