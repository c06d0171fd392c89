// Keeps the newest 5000 entries of a cache, and adds as many as it is told: of the young objects few survive a
// collection, and their pages are left. Its answers: what V8 says that the young generation holds.
'use strict';
const v8 = require('v8');
const lines = require('readline').createInterface({input: process.stdin});

class Entry {
	constructor(id) {
		this.id = id;
		this.name = 'entry ' + id;
		this.parts = new Map([[id, {tags: [id, id + 1]}]]);
		this.when = new Date(id);
	}
}

const cache = new Map();
let added = 0;

function add(count) {
	for (let i = 0; i < count; i++, added++)
		cache.set(added % 5000, new Entry(added));
	const young = v8.getHeapSpaceStatistics().filter((space) => space.space_name.startsWith('new_'))
		.reduce((sum, space) => sum + space.space_used_size, 0);
	return JSON.stringify({pid: process.pid, kept: cache.size, young});
}

console.log('READY ' + add(200000));
lines.on('line', (line) => {
	const [word, count] = line.split(' ');
	if (word === 'quit')
		process.exit(0);
	console.log(add(Number(count)));
});
