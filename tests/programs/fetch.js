// fetch - a Node client: fetches URL four times at once, prints what all of them got
'use strict';
const http = require('http');

function get(url) {
    return new Promise((resolve, reject) => {
        http.get(url, (response) => {
            let body = '';
            response.on('data', (part) => { body += part; });
            response.on('end', () => resolve(body));
        }).on('error', reject);
    });
}

Promise.all([1, 2, 3, 4].map(() => get(process.argv[2]))).then(
    (bodies) => process.stdout.write([...new Set(bodies)].join('')),
    (error) => {
        console.error(error.message);
        process.exit(1);
    });
