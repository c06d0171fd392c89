/*
 * demangle: C++ and Rust symbol names for people, by libiberty. Names come from hostile files, and a short mangled name
 * can stand for gigabytes (substitutions that double at each step): output, and the work for it, stop at a bound.
 */
#include "module_table.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <string.h>

enum {
	MANGLED_MAX_BYTES = 4096,
	DEMANGLED_MAX_BYTES = 4096,
};

struct demangling {
	char text[DEMANGLED_MAX_BYTES];
	size_t length;
	jmp_buf too_long;
};

/* libiberty's printer keeps all of its state on the stack: leaving it by longjmp loses nothing. */
static void take_text(const char *text, size_t length, void *context)
{
	struct demangling *demangling = context;
	if (length > sizeof(demangling->text) - demangling->length)
		longjmp(demangling->too_long, 1);
	memcpy(demangling->text + demangling->length, text, length);
	demangling->length += length;
}

typedef int demangler(const char *mangled, int options, demangle_callbackref callback, void *context);

static bool demangle_by(demangler *demangle, const char *text, int options, struct demangling *ret)
{
	ret->length = 0;
	if (setjmp(ret->too_long))
		return false;
	return demangle(text, options, take_text, ret) == 1;
}

void lh_symbol_demangle(const char *text, struct lh_buffer *ret)
{
	struct demangling demangling;
	bool is_mangled = text[0] == '_' && (text[1] == 'Z' || text[1] == 'R');
	if (is_mangled && strnlen(text, MANGLED_MAX_BYTES) < MANGLED_MAX_BYTES &&
	    (demangle_by(rust_demangle_callback, text, DMGL_PARAMS | DMGL_ANSI, &demangling) ||
	     demangle_by(cplus_demangle_v3_callback, text, DMGL_PARAMS | DMGL_ANSI, &demangling)))
		lh_buffer_append(ret, demangling.text, demangling.length);
	else
		lh_buffer_puts(ret, text);
}

bool lh_type_demangle(const char *text, struct lh_buffer *ret)
{
	struct demangling demangling;
	int options = DMGL_PARAMS | DMGL_ANSI | DMGL_TYPES;
	if (strnlen(text, MANGLED_MAX_BYTES) >= MANGLED_MAX_BYTES ||
	    !demangle_by(cplus_demangle_v3_callback, text, options, &demangling) || !demangling.length)
		return false;
	lh_buffer_append(ret, demangling.text, demangling.length);
	return !ret->failed;
}
