/* One entry for each function of CUDA's libraries (x86-64, System V). The first call looks the function up by name,
 * with all its arguments kept; later calls jump. The list that build-cuda.sh writes holds lines `lazy name, library`. */

.macro lazy name, library
    .section .data.lazy.\name, "aw", @progbits
    .balign 8
.Lslot_\name:
    .quad 0
    .section .rodata.lazy.\name, "a", @progbits
.Lname_\name:
    .asciz "\name"
    .section .text.lazy.\name, "ax", @progbits
    .globl \name
    .type \name, @function
\name:
    movq .Lslot_\name(%rip), %r11
    testq %r11, %r11
    je 1f
    jmp *%r11
1:  leaq .Lslot_\name(%rip), %r11
    leaq .Lname_\name(%rip), %r10
    movl $\library, %eax
    jmp lazy_cuda_first
    .size \name, . - \name
.endm

/* r10: the name, rax: the library, r11: where the address goes */
    .section .text.lazy_cuda_first, "ax", @progbits
    .type lazy_cuda_first, @function
lazy_cuda_first:
    pushq %rbp
    movq %rsp, %rbp
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %r8
    pushq %r9
    pushq %r11
    subq $136, %rsp
    andq $-16, %rsp
    movups %xmm0, 0(%rsp)
    movups %xmm1, 16(%rsp)
    movups %xmm2, 32(%rsp)
    movups %xmm3, 48(%rsp)
    movups %xmm4, 64(%rsp)
    movups %xmm5, 80(%rsp)
    movups %xmm6, 96(%rsp)
    movups %xmm7, 112(%rsp)
    movq %r10, %rdi
    movq %rax, %rsi
    call lazy_cuda_resolve
    movups 0(%rsp), %xmm0
    movups 16(%rsp), %xmm1
    movups 32(%rsp), %xmm2
    movups 48(%rsp), %xmm3
    movups 64(%rsp), %xmm4
    movups 80(%rsp), %xmm5
    movups 96(%rsp), %xmm6
    movups 112(%rsp), %xmm7
    leaq -56(%rbp), %rsp
    popq %r11
    popq %r9
    popq %r8
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
    popq %rbp
    movq %rax, (%r11)
    jmp *%rax
    .size lazy_cuda_first, . - lazy_cuda_first

    .section .note.GNU-stack, "", @progbits
