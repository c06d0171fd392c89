// Keeps objects in a worker, whose heap has a limit of its own. Its answer: that limit, and what the worker's heap has.
'use strict';
const {Worker, isMainThread, parentPort} = require('worker_threads');
const v8 = require('v8');
const WORKER_MIB = 60;

if (isMainThread) {
	const worker = new Worker(__filename, {resourceLimits: {maxOldGenerationSizeMb: WORKER_MIB, maxYoungGenerationSizeMb: 6}});
	worker.on('message', (used) => {
		console.log('READY ' + JSON.stringify({pid: process.pid, worker_mib: WORKER_MIB, used}));
	});
	require('readline').createInterface({input: process.stdin}).on('line', (line) => {
		if (line === 'quit')
			process.exit(0);
	});
} else {
	const kept = [];
	for (let i = 0; i < 100000; i++)
		kept.push({id: i, name: 'worker-' + i});
	parentPort.postMessage(v8.getHeapStatistics().total_heap_size);
	parentPort.on('message', () => kept.length);
}
