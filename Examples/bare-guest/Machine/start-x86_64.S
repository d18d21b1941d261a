// From the PVH entry (32-bit protected mode, no paging) to guest_main in long mode.
//
// Physical and virtual addresses are the same: one table of 512 pages of 1 GiB each, which a processor must have
// (QEMU: -cpu max).

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 4, 18              // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long start

    .section .text.start, "ax", @progbits
    .code32
    .globl start
start:
    cli
    cld
    movl $bss_start, %edi
    movl $bss_end, %ecx
    subl %edi, %ecx
    xorl %eax, %eax
    rep stosb

    // Entry i of the second level maps i GiB: present, writable, large.
    movl $pages_2, %edi
    movl $512, %ecx
    movl $0x83, %eax
    xorl %edx, %edx
1:  movl %eax, (%edi)
    movl %edx, 4(%edi)
    addl $0x40000000, %eax
    adcl $0, %edx
    addl $8, %edi
    decl %ecx
    jnz 1b
    movl $pages_2 + 3, pages_1

    // Physical address extension, and the two bits that say that SSE is looked after.
    movl %cr4, %eax
    orl $(1 << 5 | 1 << 9 | 1 << 10), %eax
    movl %eax, %cr4
    movl $pages_1, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx      // EFER
    rdmsr
    orl $(1 << 8), %eax         // LME
    wrmsr
    // Paging on; no emulation of the floating-point unit.
    movl %cr0, %eax
    andl $~(1 << 2), %eax
    orl $(1 << 31 | 1 << 1 | 1), %eax
    movl %eax, %cr0
    lgdt descriptors_pointer
    ljmp $8, $long_mode

    .code64
long_mode:
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    leaq stack_end(%rip), %rsp
    xorl %ebp, %ebp
    call guest_main
2:  hlt
    jmp 2b

    .section .rodata.descriptors, "a", @progbits
    .balign 8
descriptors:
    .quad 0
    .quad 0x00209a0000000000    // 64-bit code
descriptors_pointer:
    .word 15
    .long descriptors

    .section .bss.tables, "aw", @nobits
    .balign 4096
pages_1:
    .skip 4096
pages_2:
    .skip 4096
    .balign 16
    .skip 65536
stack_end:

    .section .note.GNU-stack, "", @progbits
