/* libFuzzer's side of a target: it calls this again and again.  */
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct str in = fuzz_own(str_of(octets, len));
	fuzz_one(in);
	fuzz_forget(in);
	return 0;
}
