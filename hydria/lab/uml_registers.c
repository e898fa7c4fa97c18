/* Lets user-mode Linux run on processors with more registers than it knows; put before the C library with LD_PRELOAD.
 *
 * Debian's kernel 6.1 keeps a process's extended registers in 2696 bytes. Where the processor has more (AMX), the host cuts what is
 * read to that length, but refuses to write less than everything, and the guest's first program dies. Here reading stays as it is, and what is
 * written is completed with what the process has already. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/uio.h>

enum { GETREGSET = 0x4204, SETREGSET = 0x4205, XSTATE = 0x202, ENOUGH = 65536 };

long ptrace(int request, int pid, void *where, void *data);

long ptrace(int request, int pid, void *where, void *data)
{
	static long (*real)(int, int, void *, void *);
	static __thread char everything[ENOUGH] __attribute__((aligned(64)));

	if (real == NULL)
		real = (long (*)(int, int, void *, void *)) dlsym(RTLD_NEXT, "ptrace");
	if (request == SETREGSET && (long) where == XSTATE) {
		struct iovec *given = data;
		struct iovec whole = { everything, sizeof(everything) };

		if (real(GETREGSET, pid, where, &whole) < 0)
			return -1;
		memcpy(everything, given->iov_base, given->iov_len < whole.iov_len ? given->iov_len : whole.iov_len);
		return real(SETREGSET, pid, where, &whole);
	}
	return real(request, pid, where, data);
}
