// Writes face_api.json: what the npm package @vladmandic/face-api itself answers for its demo pictures, as the
// reference for vigia's port of its networks. It runs in plain Node 20+ on the package's bundled tfjs "cpu" backend:
// no canvas, no native add-on, no network.
//
//   node face_api.mjs PACKAGE_DIR PPM_DIR OUT.json
//
// PACKAGE_DIR is the unpacked npm package; PPM_DIR holds sample1.ppm … sample6.ppm (binary P6, 8 bit), made from
// PACKAGE_DIR/demo/sample*.jpg. The committed numbers come from libjpeg-turbo with its defaults, the decoder of the
// browsers and of vigia:
//
//   for i in 1 2 3 4 5 6; do djpeg -pnm -outfile PPM_DIR/sample$i.ppm PACKAGE_DIR/demo/sample$i.jpg; done
//   (or in Python: cv2.imwrite("sample1.ppm", cv2.imread("sample1.jpg")))
//
// `ffmpeg -i sample1.jpg -pix_fmt rgb24 sample1.ppm` also works, but its colours differ by up to 14 of 255 steps, which
// moves boxes by up to 2 % in IoU and landmarks by up to 0.7 % of the face (mean over its points).
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [packageDir, ppmDir, outFile] = process.argv.slice(2);
if (!outFile) {
  console.error('usage: node face_api.mjs PACKAGE_DIR PPM_DIR OUT.json');
  process.exit(2);
}
const INPUT_SIZE = 416;
const SCORE_THRESHOLD = 0.5;

/** Loads the package's browser bundle; it picks a broken Node platform unless it believes in a window while loading. */
async function loadPackage(dir) {
  globalThis.window = { document: {} };
  const faceapi = await import(pathToFileURL(join(resolve(dir), 'dist/face-api.esm.js')).href);
  delete globalThis.window;
  const nothing = class {};
  faceapi.env.setEnv({ Canvas: nothing, Image: nothing, ImageData: nothing, Video: nothing });
  await faceapi.tf.setBackend('cpu');
  await faceapi.tf.ready();
  return faceapi;
}

/** Gives `net` its weights from model/NAME-weights_manifest.json and the binary beside it, decoded by tfjs itself. */
function loadNet(faceapi, net, name) {
  const [group] = JSON.parse(readFileSync(join(packageDir, `model/${name}-weights_manifest.json`), 'utf8'));
  const parts = group.paths.map((path) => readFileSync(join(packageDir, 'model', path)));
  const bytes = new Uint8Array(Buffer.concat(parts));
  net.loadFromWeightMap(faceapi.tf.io.decodeWeights(bytes.buffer, group.weights));
}

/** Reads a binary P6 picture into { width, height, data } with data as RGB bytes, row after row. */
function readPpm(path) {
  const file = readFileSync(path);
  const header = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(file.subarray(0, 64).toString('latin1'));
  if (!header) throw new Error(`${path}: not an 8-bit binary P6 picture without comments`);
  const [width, height] = [Number(header[1]), Number(header[2])];
  const data = file.subarray(header[0].length, header[0].length + width * height * 3);
  const expected = width * height * 3;
  if (data.length !== expected) throw new Error(`${path}: ${data.length} bytes of pixels, expected ${expected}`);
  return { width, height, data };
}

const round = (value, digits) => Number(value.toFixed(digits));

/** One face as the JSON tells it; pixels of the source picture. */
function describe(face, width, height) {
  const { box, score } = face.detection;
  // What extractFaceTensors cuts out for expressions, age and gender: whole pixels.
  const crop = face.alignedRect.forSize(width, height).box.clipAtImageBorders(width, height);
  const expressions = {};
  for (const { expression, probability } of face.expressions.asSortedArray()) {
    expressions[expression] = round(probability, 4);
  }
  return {
    score: round(score, 5),
    box: [box.left, box.top, box.right, box.bottom].map((value) => round(value, 2)),
    aligned: ['left', 'top', 'right', 'bottom'].map((side) => round(face.alignedRect.box[side], 2)),
    crop: [crop.x, crop.y, crop.width, crop.height],
    landmarks: face.landmarks.positions.map(({ x, y }) => [round(x, 2), round(y, 2)]),
    expressions,
    age: round(face.age, 2),
    gender: face.gender,
    gender_probability: round(face.genderProbability, 4),
    descriptor: Array.from(face.descriptor, (value) => round(value, 4)),
  };
}

const faceapi = await loadPackage(packageDir);
const { nets, tf } = faceapi;
loadNet(faceapi, nets.tinyFaceDetector, 'tiny_face_detector_model');
loadNet(faceapi, nets.faceLandmark68Net, 'face_landmark_68_model');
loadNet(faceapi, nets.faceExpressionNet, 'face_expression_model');
loadNet(faceapi, nets.ageGenderNet, 'age_gender_model');
loadNet(faceapi, nets.faceRecognitionNet, 'face_recognition_model');

const options = new faceapi.TinyFaceDetectorOptions({ inputSize: INPUT_SIZE, scoreThreshold: SCORE_THRESHOLD });
const pictures = [];
for (let number = 1; number <= 6; number++) {
  const { width, height, data } = readPpm(join(ppmDir, `sample${number}.ppm`));
  const picture = tf.tensor3d(new Int32Array(data), [height, width, 3], 'int32');
  const faces = await faceapi.detectAllFaces(picture, options)
    .withFaceLandmarks().withFaceExpressions().withAgeAndGender().withFaceDescriptors();
  picture.dispose();
  console.error(`sample${number}.jpg ${width}x${height}: ${faces.length} faces`);
  const described = faces.map((face) => describe(face, width, height));
  pictures.push({ file: `sample${number}.jpg`, width, height, faces: described });
}

const head = {
  package: `@vladmandic/face-api ${faceapi.version}`,
  backend: `tfjs ${tf.version['tfjs-core']} ${tf.getBackend()}`,
  decoder: 'libjpeg-turbo, defaults',
  input_size: INPUT_SIZE,
  score_threshold: SCORE_THRESHOLD,
  units: 'pixels of the source picture; box and aligned are x1, y1, x2, y2; faces by falling score; expressions, age '
    + 'and gender are of crop (x, y, width, height), the descriptor of the square that the landmarks give',
};
// One line per face keeps diffs readable without blowing the file up.
const lines = pictures.map(({ faces, ...rest }) => {
  const rows = faces.map((face) => `   ${JSON.stringify(face)}`).join(',\n');
  return `  {${JSON.stringify(rest).slice(1, -1)},"faces":[\n${rows}]}`;
});
writeFileSync(outFile, `{${JSON.stringify(head).slice(1, -1)},\n "pictures":[\n${lines.join(',\n')}]}\n`);
