// Counts the allocations of each thread by standing in front of malloc, as the GNU C library allows a program to.
// For tests only: whatever links this target is counted.
#pragma once
#include <stdbool.h>
#include <stdint.h>

// How often the calling thread has allocated or reallocated memory so far.
uint64_t muntin_allocations(void);

// Whether allocations are counted at all: not under a sanitizer, which has its own malloc.
bool muntin_counts_allocations(void);
