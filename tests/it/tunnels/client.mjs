// A WebSocket as a stream of HTTP/2 (RFC 8441), by Node's own client. Usage: node client.mjs URL CA AUTHORIZATION
// Sends `hello`, prints what it hears: `status N`, `text ...`, `close CODE`.
import http2 from 'node:http2'
import { readFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'

const [url, ca, authorization] = process.argv.slice(2)
const session = http2.connect(url, { ca: readFileSync(ca), servername: 'localhost' })
session.on('error', (error) => { console.log(`error ${error.code}`); process.exit(1) })
session.on('remoteSettings', (settings) => {
  if (!settings.enableConnectProtocol) { console.log('not offered'); process.exit(1) }
  const stream = session.request({
    ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', ':path': '/ws/node',
    ':authority': new URL(url).host, 'sec-websocket-version': '13', authorization,
  })
  stream.on('response', (headers) => {
    console.log(`status ${headers[':status']}`)
    stream.write(frame(1, Buffer.from('hello')))
  })
  let heard = Buffer.alloc(0)
  stream.on('data', (data) => {
    heard = Buffer.concat([heard, data])
    while (heard.length >= 2 && heard.length >= 2 + heard[1]) {
      const [opcode, payload] = [heard[0] & 15, heard.subarray(2, 2 + heard[1])]
      heard = heard.subarray(2 + payload.length)
      if (opcode === 1) console.log(`text ${payload}`)
      if (opcode === 8) {
        console.log(`close ${payload.readUInt16BE(0)}`)
        stream.end(frame(8, payload.subarray(0, 2)))
      }
    }
  })
  stream.on('close', () => session.close())
})

// One short frame, masked.
function frame(opcode, payload) {
  const mask = randomBytes(4)
  const masked = Buffer.from(payload.map((byte, index) => byte ^ mask[index % 4]))
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length]), mask, masked])
}
