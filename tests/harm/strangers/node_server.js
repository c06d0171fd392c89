// node_server.js BODY_FILE PORT_FILE: an http server that reads the file for each request, with garbage, timers
// and the thread pool (crypto) at work beside it.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');

const [body, portFile] = process.argv.slice(2);
let kept = [];
let failures = 0;

function fail(what) {
	failures++;
	console.error(what);
}

function churn() {
	for (let i = 0; i < 50; i++)
		kept.push({ number: i, text: 'x'.repeat(100 + i), bytes: Buffer.alloc(2000, i) });
	if (kept.length > 2000) {
		for (const { number, text, bytes } of kept)
			if (text.length !== 100 + number || bytes[1999] !== number)
				fail('an object has changed');
		kept = [];
	}
	setTimeout(churn, 2);
}

function derive() {
	crypto.pbkdf2('password', 'salt', 2000, 32, 'sha256', (error, key) => {
		const expected = crypto.pbkdf2Sync('password', 'salt', 2000, 32, 'sha256');
		if (error || !key.equals(expected))
			fail(`pbkdf2: ${error}`);
		setTimeout(derive, 20);
	});
}

const server = http.createServer((request, response) => {
	fs.readFile(body, (error, data) => {
		if (error || failures > 0)
			response.writeHead(500);
		response.end(error ? String(error) : data);
	});
});
server.listen(0, '127.0.0.1', () => {
	fs.writeFileSync(`${portFile}.new`, String(server.address().port));
	fs.renameSync(`${portFile}.new`, portFile);
});
churn();
derive();
