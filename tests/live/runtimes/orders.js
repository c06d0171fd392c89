// Keeps orders in an array and in a map, as it is told. Its answers: how many there are, what V8 says it uses, in all and
// for its old generation, and what its heap may grow to.
'use strict';
const v8 = require('v8');
const lines = require('readline').createInterface({input: process.stdin});

class Order {
	constructor(id) {
		this.id = id;
		this.customer = 'customer-' + id;
		this.items = [1, 2, id];
	}
}

const kept = [];
const buffers = [];

function truth() {
	global.gc();
	const spaces = v8.getHeapSpaceStatistics();
	const used = spaces.reduce((sum, space) => sum + space.space_used_size, 0);
	const old = spaces.filter((space) => !/^(new|read_only)_/.test(space.space_name))
		.reduce((sum, space) => sum + space.space_size, 0);
	const limit = v8.getHeapStatistics().heap_size_limit;
	return JSON.stringify({pid: process.pid, kept: kept.length, buffers: buffers.length, used, old, limit});
}

console.log('READY ' + truth());
lines.on('line', (line) => {
	const [word, count] = line.split(' ');
	if (word === 'quit')
		process.exit(0);
	for (let i = 0; i < Number(count); i++) {
		kept.push(new Order(kept.length));
		if (kept.length % 100 === 0)
			buffers.push(Buffer.alloc(10000, 1));
	}
	console.log(truth());
});
