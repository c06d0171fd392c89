/*
 * manual_common: sections of leakhunt(1), and those that every command's page repeats.
 */
#include "manual.h"

#include <stddef.h>

const struct lh_manual_section lh_manual_common[] = {
	{"OPERANDS AND UNITS", "An operand of digits is a PID; write `./1234` for a file of that name. Sizes are "
			       "powers of 1024: `64K`, `1.5G`. Durations are `500ms`, `2s`, `10m`, `1.5h`, `3d`. "
			       "Addresses are hexadecimal. Ranges are half-open: 0xA-0xB includes 0xA and excludes "
			       "0xB."},
	{"SECRETS",
	 "A dump holds what the process knew: passwords, keys, personal data. leakhunt creates it with mode 0600. "
	 "Protect it like the process itself.\n\n"
	 "leakhunt masks secrets with asterisks in every output unless --show-secrets is given, in 8-bit "
	 "characters, UTF-16 and UTF-32:\n\n"
	 "* Private keys\n"
	 "PEM, DER, OpenSSH, PuTTY, and base64 of them.\n\n"
	 "* TLS\n"
	 "Session secrets and tickets.\n\n"
	 "* HTTP\n"
	 "Values of Authorization, Proxy-Authorization, Cookie, Set-Cookie, X-Api-Key and X-Auth-Token, also "
	 "compressed in HTTP/2 HEADERS frames. Bearer and Basic credentials.\n\n"
	 "* Tokens\n"
	 "JSON Web Tokens, signed URLs, Slack webhooks, Telegram bots, age keys, and tokens with published "
	 "prefixes: AWS, GitHub, GitLab, Slack, Google, Stripe, npm, Vault, OpenAI, Anthropic, SendGrid.\n\n"
	 "* Password hashes\n"
	 "crypt(5) with a `$` prefix and of DES in lines `name:hash`, argon2, htpasswd, LDAP, SCRAM.\n\n"
	 "* Named values\n"
	 "password, passwd, passphrase, pwd, pass, secret, token, api_key, access_key, private_key, session ids "
	 "and the like, in key=value pairs, JSON, XML and forms.\n\n"
	 "* Logins\n"
	 "Passwords in URLs, commands (mysql, curl, sshpass, redis-cli, docker login, ldapsearch, smbclient), SQL "
	 "statements, SMTP, IMAP, POP3, FTP, Redis, netrc and pgpass files.\n\n"
	 "Secrets without a recognizable form are not masked."},
	{"FILES", "* dump.bin, dump.2.bin ...\n"
		  "Outputs of `leakhunt dump` without -o: ELF cores, mode 0600.\n\n"
		  "* COMMAND.PID.TIME/\n"
		  "Output of `leakhunt PID` without -o, mode 0700: record.jsonl, before.core, after.core, report.json, "
		  "report.html.\n\n"
		  "* .NAME.PID.tmp\n"
		  "An unfinished output on a file system without O_TMPFILE. Remove it if leakhunt was killed.\n\n"
		  "* share/doc/leakhunt/prometheus-rules.yml\n"
		  "Alerts on the metrics of `leakhunt watch --metrics`."},
	{"JSON", "The member `schema` of `--json` names the schema. Members may be added to a schema; none is removed "
		 "or changed. Keys carry their units: `_bytes`, `_ns`, `_per_hour`. Addresses are strings \"0x...\", "
		 "since JSON numbers lose bits above 2^53. Unprintable bytes of the target appear as `\\xNN`."},
	{NULL, NULL},
};

const struct lh_manual_section lh_manual_shared[] = {
	{"EXIT STATUS",
	 "* 0\n"
	 "The result is complete.\n\n"
	 "* 1\n"
	 "The result is incomplete. Missing parts are listed.\n\n"
	 "* 2\n"
	 "The command failed. One line on standard error says what failed and why, mostly with a hint. Nothing "
	 "half-written stays under its final name.\n\n"
	 "* 3\n"
	 "`leakhunt leaks` found lost blocks, `leakhunt trace` a call stack that leaks.\n\n"
	 "* 64\n"
	 "The command line is wrong."},
	{"PERMISSIONS",
	 "Reading the memory of another process requires permission to trace it (ptrace(2), \"Ptrace access mode "
	 "checking\").\n\n"
	 "* root\n"
	 "CAP_SYS_PTRACE reads every process, also across containers. Use the PID as the host sees it.\n\n"
	 "* an ordinary user\n"
	 "Can read own processes. All commands but maps, ps, select "
	 "and watch also need 0 in /proc/sys/kernel/yama/ptrace_scope. Reading a process that changed its "
	 "user or has file capabilities requires root.\n\n"
	 "* file capabilities\n"
	 "`setcap cap_sys_ptrace,cap_dac_override+ep leakhunt` lets users work without root. Whoever runs this "
	 "file can read every process: allow it to one group (`chgrp`, `chmod 750`).\n\n"
	 "* a container\n"
	 "Start it with `--cap-add SYS_PTRACE` in the PID namespace of the target. In Kubernetes: `kubectl debug "
	 "POD -it --image=IMAGE --target=CONTAINER --profile=sysadmin -- leakhunt 1`.\n\n"
	 "A process that is traced already (gdb, strace) cannot be stopped a second time. `dump --mode live` "
	 "works."},
	{"ENVIRONMENT",
	 "* NO_COLOR\n"
	 "Print no colors on a terminal.\n\n"
	 "* TMPDIR\n"
	 "Folder of unnamed files: copies of processes for heap, leaks and explain, and unpacked dumps (default: "
	 "/tmp).\n\n"
	 "* DEBUGINFOD_URLS\n"
	 "Servers that leakhunt asks for separate debug files. It keeps them in DEBUGINFOD_CACHE_PATH (default: "
	 "XDG_CACHE_HOME/debuginfod_client, else ~/.cache/debuginfod_client).\n\n"
	 "* LEAKHUNT_KERNEL\n"
	 "SIMD kernel to use, for tests: scalar, sse2, avx2, avx512, neon (default: the best of this CPU)."},
	{NULL, NULL},
};
