// Loaded into LocalStack's Kinesis, which listens on every address and has no setting for that: a server that names no
// address listens on 127.0.0.1.
const { Server } = require('net');

const { listen } = Server.prototype;
Server.prototype.listen = function (...options) {
    const [first] = options;
    if (typeof first === 'object' && first !== null && first.port !== undefined) {
        options[0] = { ...first, host: '127.0.0.1' };
    } else if (typeof first === 'number' || /^[0-9]+$/.test(first)) {
        options = [{ port: Number(first), host: '127.0.0.1' }, ...options.filter((option) => typeof option === 'function')];
    }
    return listen.apply(this, options);
};
