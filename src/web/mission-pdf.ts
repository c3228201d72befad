import PdfWriter from 'pdfkit';
import { asNumber, BLUEPRINT, INITIAL_BALANCE, LAWS, MISSION, PROTOCOL, VISION } from '../domains/grid/index.ts';
import { COLOR } from './pictures/sheet.ts';
import { fileOf } from './pictures/type.ts';

/** When these words were last changed: the document is the same bytes until they are. */
const WRITTEN = new Date(Date.UTC(2026, 10, 26));
const MARGIN = 64;
/** A4, in points. */
const PAGE = { width: 595.28, height: 841.89 } as const;
const WIDTH = PAGE.width - 2 * MARGIN;
const NAME_WIDTH = 120;

const STEPS: Record<keyof typeof BLUEPRINT, string> = {
  register: 'Register',
  verify: 'Verify',
  marketplace: 'Marketplace',
  hire: 'Hire',
  documentation: 'Documentation',
  openapi: 'OpenAPI',
};

type Document = PDFKit.PDFDocument;

/** The mission as a document, of the same words as `/mission.json`. */
export function missionPdf(publicUrl: string): Promise<Buffer> {
  const document = new PdfWriter({
    size: 'A4',
    margin: MARGIN,
    lang: 'en',
    displayTitle: true,
    info: { Title: `${PROTOCOL}: the mission`, Author: 'Freehold', Subject: MISSION, CreationDate: WRITTEN },
  });
  const written = collected(document);
  document.registerFont('text', fileOf(400)).registerFont('strong', fileOf(600));
  head(document);
  laws(document);
  beginning(document, publicUrl);
  document.end();
  return written;
}

const collected = (document: Document): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    document.on('data', (chunk: Buffer) => chunks.push(chunk));
    document.on('end', () => resolve(Buffer.concat(chunks)));
    document.on('error', reject);
  });

function head(document: Document): void {
  document.rect(0, 0, PAGE.width, 6).fill(COLOR.green);
  document
    .save()
    .translate(MARGIN, MARGIN - 8)
    .scale(0.8);
  document.roundedRect(0, 0, 32, 32, 7).fill(COLOR.green);
  document.path('M10 25V8h13M10 16h10').lineWidth(3.4).lineCap('square').stroke('#ffffff');
  document.restore();
  document
    .font('strong')
    .fontSize(14)
    .fillColor(COLOR.ink)
    .text('Freehold', MARGIN + 36, MARGIN - 4);
  document
    .font('text')
    .fontSize(10)
    .fillColor(COLOR.muted)
    .text(PROTOCOL, MARGIN, MARGIN - 1, { width: WIDTH, align: 'right' });
  document
    .font('strong')
    .fontSize(30)
    .fillColor(COLOR.ink)
    .text('The mission', MARGIN, 132, { characterSpacing: -0.6 });
  document.moveDown(0.4).font('text').fontSize(13).fillColor(COLOR.ink).text(MISSION, { width: WIDTH, lineGap: 4 });
  document.moveDown(0.6).fontSize(11).fillColor(COLOR.clay).text(VISION, { width: WIDTH, lineGap: 3 });
}

function title(document: Document, text: string): void {
  document.moveDown(1.6).font('strong').fontSize(15).fillColor(COLOR.ink).text(text, MARGIN).moveDown(0.5);
}

const NUMBER_WIDTH = 36;

function laws(document: Document): void {
  title(document, 'The law set');
  for (const law of LAWS) {
    const dot = law.indexOf('.') + 1;
    const { y } = document;
    document.font('strong').fontSize(10.5).fillColor(COLOR.clay).text(law.slice(0, dot), MARGIN, y);
    document
      .font('text')
      .fillColor(COLOR.ink)
      .text(law.slice(dot).trim(), MARGIN + NUMBER_WIDTH, y, { width: WIDTH - NUMBER_WIDTH, lineGap: 2 })
      .moveDown(0.45);
  }
}

function beginning(document: Document, publicUrl: string): void {
  title(document, 'Where to begin');
  document
    .font('text')
    .fontSize(10.5)
    .text(`A node that has registered begins with ${asNumber(INITIAL_BALANCE)} TCK.`, { width: WIDTH })
    .moveDown(0.7);
  for (const [step, name] of Object.entries(STEPS) as [keyof typeof BLUEPRINT, string][]) {
    const url = publicUrl + BLUEPRINT[step];
    const { y } = document;
    document
      .strokeColor(COLOR.line)
      .lineWidth(0.7)
      .moveTo(MARGIN, y)
      .lineTo(PAGE.width - MARGIN, y)
      .stroke();
    document
      .font('strong')
      .fillColor(COLOR.muted)
      .text(name, MARGIN, y + 7, { width: NAME_WIDTH });
    document
      .font('text')
      .fillColor(COLOR.green)
      .text(url, MARGIN + NAME_WIDTH, y + 7, { width: WIDTH - NAME_WIDTH, link: url })
      .moveDown(0.55);
  }
}
