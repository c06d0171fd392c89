/*
 * keyed_bytes: SipHash-2-4 with a number mixed into the message, which makes a stream of it.
 */
#include "keyed_bytes.h"

#include <string.h>

struct sip_state {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate_left(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

static void sip_rounds(struct sip_state *state, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		state->v0 += state->v1;
		state->v1 = rotate_left(state->v1, 13) ^ state->v0;
		state->v0 = rotate_left(state->v0, 32);
		state->v2 += state->v3;
		state->v3 = rotate_left(state->v3, 16) ^ state->v2;
		state->v0 += state->v3;
		state->v3 = rotate_left(state->v3, 21) ^ state->v0;
		state->v2 += state->v1;
		state->v1 = rotate_left(state->v1, 17) ^ state->v2;
		state->v2 = rotate_left(state->v2, 32);
	}
}

static void sip_word(struct sip_state *state, uint64_t word)
{
	state->v3 ^= word;
	sip_rounds(state, 2);
	state->v0 ^= word;
}

uint64_t lh_keyed_hash(const uint8_t key[LH_REDACT_KEY_BYTES], const uint8_t *bytes, size_t length, uint64_t number)
{
	uint64_t k0 = lh_load_u64(key, 0), k1 = lh_load_u64(key, 8);
	struct sip_state state = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
				  k1 ^ 0x7465646279746573};
	sip_word(&state, number);
	for (size_t at = 0; at + 8 <= length; at += 8)
		sip_word(&state, lh_load_u64(bytes, at));
	uint8_t last[8] = {0};
	memcpy(last, bytes + length / 8 * 8, length % 8);
	sip_word(&state, lh_load_u64(last, 0) | ((uint64_t)length + 8) << 56);
	state.v2 ^= 0xff;
	sip_rounds(&state, 4);
	return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

void lh_redact_key_of(const uint8_t *bytes, size_t length, uint8_t ret[LH_REDACT_KEY_BYTES])
{
	static const uint8_t none[LH_REDACT_KEY_BYTES] = "leakhunt redact";
	for (uint64_t half = 0; half < 2; half++) {
		uint64_t hash = lh_keyed_hash(none, bytes, length, half);
		memcpy(ret + half * sizeof(hash), &hash, sizeof(hash));
	}
}

void lh_replace_text(const uint8_t key[LH_REDACT_KEY_BYTES], uint8_t *text, size_t length)
{
	enum { TEXT_LETTERS = 8 }; /* of each hash: 8 bits each */
	uint64_t whole = lh_keyed_hash(key, text, length, UINT64_MAX);
	for (size_t at = 0; at < length; at += TEXT_LETTERS) {
		uint64_t stream = lh_keyed_hash(key, (const uint8_t *)&whole, sizeof(whole), at);
		for (size_t i = at; i < length && i < at + TEXT_LETTERS; i++, stream >>= 8)
			text[i] = (uint8_t)('a' + (stream & 0xff) % 26);
	}
}

void lh_replace_bytes(const uint8_t key[LH_REDACT_KEY_BYTES], uint8_t *bytes, size_t length)
{
	uint64_t stream = lh_keyed_hash(key, bytes, length, UINT64_MAX - 1);
	for (size_t i = 0; i < length; i++, stream >>= 8) {
		uint8_t chance = (uint8_t)stream;
		if (bytes[i] >= 0x7f)
			bytes[i] = 0x80 | chance;
		else if (bytes[i] >= 0x20)
			bytes[i] = (uint8_t)('a' + chance % 26);
		else if (bytes[i])
			bytes[i] = (uint8_t)(1 + chance % 8);
	}
}
