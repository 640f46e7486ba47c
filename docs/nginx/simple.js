// The parts of a simple index that nginx does not have: q-values, normalised names, a page's serial.
// For njs 0.7.7 and later (Debian 12: libnginx-mod-http-js). Used by mirrorsync.conf.
import fs from 'fs';

// In order of preference, which decides between equal q-values.
const PAGES = [
    {type: 'text/html', file: 'index.html'},
    {type: 'application/vnd.pypi.simple.v1+html', file: 'index.v1_html'},
    {type: 'application/vnd.pypi.simple.v1+json', file: 'index.v1_json'},
];

// $mirrorsync_page: the file for this request. If no type is acceptable, text/html, never a 406.
function page(r) {
    const format = /(?:^|&)format=([^&]*)/.exec(r.variables.args || '');
    if (format) {
        const wanted = PAGES.filter(known => known.type === exact(decoded(format[1]).trim().toLowerCase()));
        return wanted.length ? wanted[0].file : PAGES[0].file;
    }
    const accept = r.headersIn['Accept'];
    const weights = accept === undefined ? {'*/*': 1} : weightsOf(accept);
    let best = PAGES[0];
    let bestWeight = 0;
    PAGES.forEach(offer => {
        const weight = weightOf(offer.type, weights);
        if (weight > bestWeight) {
            best = offer;
            bestWeight = weight;
        }
    });
    return best.file;
}

function decoded(text) {
    try {
        return decodeURIComponent(text);
    } catch (e) {
        return '';
    }
}

// Resolve the "latest" aliases to the v1 types.
function exact(type) {
    return type.replace(/^application\/vnd\.pypi\.simple\.latest\+/, 'application/vnd.pypi.simple.v1+');
}

// RFC 9110, 12.5.1: {media range: weight}. Malformed elements are ignored, and so are ranges with parameters,
// because the types of the pages have none.
function weightsOf(accept) {
    const weights = {};
    accept.toLowerCase().split(',').forEach(element => {
        const parts = element.split(';').map(part => part.trim());
        let weight = '1';
        if (parts.length > 1) {
            if (parts[1].indexOf('q=') !== 0) {
                return;
            }
            weight = parts[1].slice(2);
        }
        if (/^(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/.test(weight)) {
            const range = exact(parts[0]);
            weights[range] = Math.max(weights[range] || 0, Number(weight));
        }
    });
    return weights;
}

// The most specific range applies: the type, then type/*, then */*.
function weightOf(type, weights) {
    const ranges = [type, type.split('/')[0] + '/*', '*/*'].filter(range => weights[range] !== undefined);
    return ranges.length ? weights[ranges[0]] : 0;
}

// PEP 503: redirect other spellings of a name, and addresses without the slash, to the normalised one.
function redirect(r) {
    const parts = /^\/(simple|pypi)\/([^\/]+)(\/|\/json)?$/.exec(r.uri);
    const isName = parts && /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(parts[2]);
    const tail = parts && parts[1] === 'pypi' ? '/json' : '/';
    if (!isName || (parts[3] === '/json') !== (tail === '/json')) {
        r.return(404);
        return;
    }
    const name = parts[2].replace(/[-_.]+/g, '-').toLowerCase();
    const query = r.variables.args ? '?' + r.variables.args : '';
    r.return(301, '/' + parts[1] + '/' + name + tail + query);
}

// $mirrorsync_serial: the serial in the page itself. The JSON of the root index has it at its start, also for the
// root's HTML; a project's JSON has it after the files and before the versions, and its HTML in the last line.
function serial(r) {
    const path = r.variables.request_filename;
    const inDirectory = /^(.*\/simple\/)([^\/]+\/)?(index\.(?:html|v1_html|v1_json))$/.exec(path);
    if (!inDirectory) {
        return '';
    }
    if (!inDirectory[2]) {
        const first = /"_last-serial":([0-9]{1,18})[,}]/.exec(part(inDirectory[1] + 'index.v1_json', false, 256));
        return first ? first[1] : '';
    }
    if (inDirectory[3] !== 'index.v1_json') {
        const comment = /<!--SERIAL ([0-9]{1,18})-->\s*$/.exec(part(path, true, 4096));
        return comment ? comment[1] : '';
    }
    // 256 KiB hold the versions of a project with 20,000 of them.
    return jsonSerial(part(path, true, 4096)) || jsonSerial(part(path, true, 262144));
}

// A quotation mark in a JSON string is escaped, so no uploader can write this key.
function jsonSerial(text) {
    const at = text.lastIndexOf('"_last-serial":');
    const found = at < 0 ? null : /^"_last-serial":([0-9]{1,18})[,}]/.exec(text.slice(at, at + 40));
    return found ? found[1] : '';
}

// The first or last bytes of a file, '' if it does not exist.
function part(path, isTail, length) {
    let descriptor;
    try {
        descriptor = fs.openSync(path, 'r');
    } catch (e) {
        return '';
    }
    try {
        const offset = isTail ? Math.max(0, fs.fstatSync(descriptor).size - length) : 0;
        const buffer = Buffer.alloc(length);
        const count = fs.readSync(descriptor, buffer, 0, length, offset);
        return buffer.slice(0, count).toString('utf8');
    } finally {
        fs.closeSync(descriptor);
    }
}

export default {page, redirect, serial};
