// work - Node alone: a cluster whose workers share a port, worker threads, child processes, files
'use strict';
const cluster = require('cluster');
const fs = require('fs');
const http = require('http');
const { execFile, fork } = require('child_process');
const { Worker, isMainThread, parentPort } = require('worker_threads');

const PORT = 7600;

function get(url) {
    return new Promise((resolve, reject) => {
        http.get(url, { agent: false }, (response) => {
            let body = '';
            response.on('data', (part) => { body += part; });
            response.on('end', () => resolve(body));
        }).on('error', reject);
    });
}

async function clustered() {
    await Promise.all([cluster.fork(), cluster.fork()].map(
        (worker) => new Promise((resolve) => { worker.on('listening', resolve); })));
    const answers = await Promise.all(Array.from({ length: 40 }, () => get(`http://127.0.0.1:${PORT}/`)));
    await new Promise((resolve) => { cluster.disconnect(resolve); });
    return [answers.length, new Set(answers).size];
}

function threads() {
    return Promise.all([1, 2, 3, 4].map((n) => new Promise((resolve, reject) => {
        const worker = new Worker(__filename);
        worker.on('message', resolve);
        worker.on('error', reject);
        worker.postMessage(n);
    })));
}

function child() {
    return new Promise((resolve) => {
        const other = fork(__filename, ['child']);
        other.on('message', (message) => { other.disconnect(); resolve(message); });
        other.send('a message');
    });
}

function output(...command) {
    return new Promise((resolve, reject) => {
        execFile(command[0], command.slice(1), (error, stdout) => (error ? reject(error) : resolve(stdout.trim())));
    });
}

async function main() {
    console.log('cluster', ...await clustered());
    console.log('threads', ...await threads());
    console.log('child', await child());
    console.log('command', await output('echo', 'hello'));
    await fs.promises.writeFile('file', 'written');
    console.log('file', await fs.promises.readFile('file', 'utf8'));
}

if (!isMainThread)
    parentPort.once('message', (n) => parentPort.postMessage(n * n));
else if (cluster.isWorker)
    http.createServer((request, response) => response.end(`worker ${cluster.worker.id}`)).listen(PORT, '127.0.0.1');
else if (process.argv[2] === 'child')
    process.on('message', (message) => process.send(`got ${message}`));
else
    main();
