# Where the static program begins: adds the address that it was loaded at to every word that its packed
# table names (DT_RELR of the ELF specification), and goes on to musl's own start. musl does so itself
# from 1.2.4 on; it finds the table empty then. Packed, 700 relocations take 0.3 KB in place of 17.
    .section .text.start_packed, "ax", @progbits
    .globl start_packed
    .hidden start_packed, _start, _DYNAMIC, __ehdr_start
    .type start_packed, @function
start_packed:
    lea __ehdr_start(%rip), %rdi    # where it was loaded: it was linked for 0
    lea _DYNAMIC(%rip), %rax
    xor %esi, %esi
    xor %ecx, %ecx
.Ltag:
    mov (%rax), %r8
    cmp $36, %r8                    # DT_RELR: where the table is
    cmove 8(%rax), %rsi
    cmp $35, %r8                    # DT_RELRSZ: its size, from here on 0
    jne .Lnext
    mov 8(%rax), %rcx
    movq $0, 8(%rax)
.Lnext:
    add $16, %rax
    test %r8, %r8
    jnz .Ltag
    add %rdi, %rsi
    add %rsi, %rcx
.Lentry:
    cmp %rcx, %rsi
    jae .Ldone
    mov (%rsi), %rax
    add $8, %rsi
    shr %rax
    jc .Lmap
    lea (%rdi,%rax,2), %r8          # an even entry is the place of a word
    add %rdi, (%r8)
    add $8, %r8
    jmp .Lentry
.Lmap:                              # an odd one has a bit for each of the 63 words behind
    mov %r8, %r9
    add $504, %r8
.Lbit:
    shr %rax
    jnc .Lclear
    add %rdi, (%r9)
.Lclear:
    add $8, %r9
    test %rax, %rax
    jnz .Lbit
    jmp .Lentry
.Ldone:
    jmp _start
    .size start_packed, . - start_packed
