/*
 * Opens a report in Chromium, and checks it: no error on the console, one request, no overflow at any width, no
 * violation that axe-core knows, tables that sort and filter, a treemap that zooms, charts that are read by keys, paper
 * with all rows, a page that is whole without its script. Prints a line of JSON for each check; ends with 1 when one
 * failed.
 *   check_page.js MODULES BROWSER FILE [FOLDER]     FOLDER: screenshots are put there
 */
'use strict';
const fs = require('fs');
const path = require('path');
const [, , modules, browserPath, file, folder] = process.argv;
const puppeteer = require(path.join(modules, 'puppeteer-core'));
const axeSource = fs.readFileSync(path.join(modules, 'axe-core/axe.min.js'), 'utf8');
const url = 'file://' + path.resolve(file);
const widths = [320, 390, 768, 1280, 1920];
let failures = 0;

function check(name, holds, detail) {
	failures += !holds;
	console.log(JSON.stringify({ check: name, holds: !!holds, detail }));
}

async function openPage(browser, options = {}) {
	const page = await browser.newPage();
	const seen = { requests: [], errors: [] };
	page.on('request', request => seen.requests.push(request.url()));
	page.on('console', message => seen.errors.push(message.text()));
	page.on('pageerror', error => seen.errors.push(error.message));
	page.on('dialog', dialog => { seen.errors.push('dialog'); dialog.dismiss(); });
	if (options.noScript) await page.setJavaScriptEnabled(false);
	if (options.scheme) await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: options.scheme }]);
	await page.setViewport({ width: options.width || 1280, height: 900 });
	await page.goto(url, { waitUntil: 'load' });
	return { page, seen };
}

const hasElement = (page, selector) => page.$(selector).then(element => !!element);

async function checkQuiet(browser) {
	const { page, seen } = await openPage(browser);
	check('one request, the file', seen.requests.length === 1 && seen.requests[0] === url, seen.requests);
	check('no console message', seen.errors.length === 0, seen.errors);
	const strangers = await page.evaluate(() => ['img', 'iframe', 'object', 'embed', 'link', 'form', 'base', 'b b', '[onerror]',
		'[onload]', 'body > script ~ script', 'title *'].filter(selector => document.querySelector(selector)));
	check('hostile bytes made no element', strangers.length === 0, strangers);
	check('hostile bytes ran nothing', await page.evaluate(() => !window.stolen && document.scripts.length === 1));
	await page.close();
}

async function checkWidths(browser) {
	for (const width of widths) {
		const { page } = await openPage(browser, { width });
		const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
		check('no overflow at ' + width, over === 0, over);
		if (folder) await page.screenshot({ path: path.join(folder, width + '.png'), fullPage: true });
		await page.close();
	}
}

/* Injected by the debugger, which the page's policy does not bind. */
async function checkAccess(browser) {
	for (const options of [{ scheme: 'light' }, { scheme: 'dark' }, { width: 390 }, { noScript: true }]) {
		const { page } = await openPage(browser, { ...options, noScript: false });
		if (options.noScript) await page.evaluate(() => document.documentElement.classList.remove('js'));
		await page.evaluate(() => document.querySelectorAll('details').forEach(element => { element.open = true; }));
		await page.evaluate(axeSource);
		const violations = await page.evaluate(() => window.axe.run().then(result =>
			result.violations.map(rule => rule.id + ': ' + rule.nodes.slice(0, 3).map(node => node.target + ' ' +
				node.failureSummary.split('\n').slice(1, 2)).join('; '))));
		check('axe-core ' + JSON.stringify(options), violations.length === 0, violations);
		if (folder && options.scheme === 'dark') await page.screenshot({ path: path.join(folder, 'dark.png'), fullPage: true });
		await page.close();
	}
}

/* The cells of a column, top down, as the sort sees them. */
function columnValues(page, table, column) {
	return page.evaluate((id, at) => Array.from(document.querySelectorAll('#' + id + ' tbody tr')).map(row => {
		const cell = row.cells[at], value = cell.getAttribute('data-v');
		return value === null ? cell.textContent.trim().toLowerCase() : +value;
	}), table, column);
}

const isSorted = (values, down) => values.every((value, i) => !i || (down ? values[i - 1] >= value : values[i - 1] <= value));

async function checkSorting(page, table) {
	const heads = await page.$$('#' + table + ' thead th');
	for (let column = 0; column < heads.length; column++) {
		const button = await heads[column].$('button');
		if (!button || !await button.isVisible()) continue;
		for (let click = 0; click < 2; click++) {
			await button.click();
			const down = await heads[column].evaluate(head => head.getAttribute('aria-sort') === 'descending');
			check(table + ' column ' + column + (down ? ' down' : ' up'), isSorted(await columnValues(page, table, column), down));
		}
	}
}

async function checkFilter(page) {
	if (!await hasElement(page, '#q')) return;
	const word = await page.evaluate(() => document.querySelector('#grew-t tbody th').textContent.trim().split(/\s+/)[0]);
	const visible = () => page.evaluate(() => Array.from(document.querySelectorAll('#grew-t tbody tr')).filter(row => !row.hidden)
		.map(row => row.textContent.toLowerCase()));
	await page.type('#q', word);
	const rows = await visible();
	check('filter by ' + word, rows.length > 0 && rows.every(row => row.includes(word.toLowerCase())), rows.length);
	await page.$eval('#q', input => { input.value = ''; input.dispatchEvent(new Event('input')); });
	for (const button of await page.$$('#grew-t-f button')) {
		const kind = await button.evaluate(element => element.getAttribute('data-k'));
		await button.click();
		check('filter kind ' + kind, await page.evaluate(wanted => Array.from(document.querySelectorAll('#grew-t tbody tr'))
			.every(row => row.hidden || !wanted || row.getAttribute('data-k') === wanted), kind));
	}
}

async function checkTreemap(page) {
	if (!await hasElement(page, '#tm')) return;
	const sums = await page.evaluate(() => {
		const bytes = item => +item.getAttribute('data-b');
		return Array.from(document.querySelectorAll('#tm-data > li')).map(owner => ({ owner: bytes(owner),
			types: Array.from(owner.querySelectorAll(':scope > ul > li')).reduce((sum, item) => sum + bytes(item), 0) }));
	});
	check('types add up to their owner', sums.length > 0 && sums.every(row => row.owner === row.types), sums);
	const first = await page.$('#tm button');
	const before = await page.$$eval('#tm-crumb > *', list => list.length);
	await first.focus();
	await page.keyboard.press('Enter');
	const zoomed = await page.$$eval('#tm-crumb > *', list => list.length);
	check('treemap zooms by keyboard', zoomed > before, [before, zoomed]);
	await page.keyboard.press('Escape');
	check('Escape goes back', await page.$$eval('#tm-crumb > *', list => list.length) === before);
	check('cells stay in the treemap', await page.evaluate(() => {
		const box = document.querySelector('#tm').getBoundingClientRect();
		return Array.from(document.querySelectorAll('#tm button')).every(cell => {
			const rect = cell.getBoundingClientRect();
			return rect.right <= box.right + 3 && rect.bottom <= box.bottom + 3;
		});
	}));
}

async function checkChart(page) {
	const chart = await page.$('[data-read]');
	if (!chart) return;
	const readout = await chart.evaluate(element => element.getAttribute('data-read'));
	const home = await page.$eval('#' + readout, element => element.textContent);
	await chart.evaluate(element => element.focus());
	await page.keyboard.press('ArrowRight');
	const text = await page.$eval('#' + readout, element => element.textContent);
	check('arrow keys read the chart', text !== home && /:/.test(text), text);
}

async function checkUse(browser) {
	const { page, seen } = await openPage(browser);
	await page.evaluate(() => document.querySelectorAll('details').forEach(element => { element.open = true; }));
	for (const table of await page.$$eval('table.sort', list => list.map(element => element.id)))
		await checkSorting(page, table);
	await checkFilter(page);
	await checkTreemap(page);
	await checkChart(page);
	check('every link of the page leads somewhere', await page.evaluate(() => Array.from(document.querySelectorAll('a[href]'))
		.every(link => link.getAttribute('href').startsWith('#') && document.querySelector(link.getAttribute('href')))));
	check('nothing went wrong in use', seen.errors.length === 0 && seen.requests.length === 1, seen);
	await page.close();
}

async function checkPaper(browser) {
	const { page } = await openPage(browser);
	const pdf = await page.pdf({ preferCSSPageSize: true, printBackground: true });
	if (folder) fs.writeFileSync(path.join(folder, 'paper.pdf'), pdf);
	check('it prints', pdf.length > 10000, pdf.length);
	await page.emulateMediaType('print');
	check('paper shows all rows and no buttons', await page.evaluate(() =>
		Array.from(document.querySelectorAll('tbody tr')).every(row => getComputedStyle(row).display !== 'none') &&
		Array.from(document.querySelectorAll('.jsonly, nav')).every(element => getComputedStyle(element).display === 'none')));
	await page.close();
}

async function checkWithoutScript(browser) {
	const { page } = await openPage(browser, { noScript: true });
	const state = await page.$$eval('tbody tr, #tm-data li', list => list.filter(element => !element.checkVisibility() &&
		!element.closest('details:not([open])')).length);
	check('whole without script', state === 0, state);
	await page.close();
}

(async () => {
	const profile = fs.mkdtempSync(path.join(process.env.TMPDIR || '/tmp', 'leakhunt-browser.'));
	const browser = await puppeteer.launch({ executablePath: browserPath, userDataDir: profile,
		args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--no-first-run'] });
	try {
		const bytes = fs.statSync(file).size;
		check('small', bytes < 3 << 20, bytes);
		for (const step of [checkQuiet, checkWidths, checkAccess, checkUse, checkPaper, checkWithoutScript]) await step(browser);
	} finally {
		await browser.close();
		fs.rmSync(profile, { recursive: true, force: true });
	}
	process.exitCode = failures ? 1 : 0;
})().catch(error => { console.error(error); process.exitCode = 2; });
