use std::io::{Cursor, Write};

use cloakroom_core::Limits;
use parquet::basic::Compression;
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::*;

/// Content in memory.
struct Memory(Bytes, bool);

impl Content for Memory {
    fn open_at(&self, offset: u64) -> io::Result<super::super::Reader> {
        let from = usize::try_from(offset).unwrap().min(self.0.len());
        Ok(Box::new(Cursor::new(self.0.slice(from..))))
    }

    fn length(&self) -> Option<u64> {
        self.1.then_some(self.0.len() as u64)
    }

    fn error(&self, error: &io::Error) -> ConnectorError {
        ConnectorError::io("memory", error)
    }
}

#[derive(Default)]
struct Taken(Vec<Framed>);

impl Receive for Taken {
    fn record(&mut self, framed: Framed) -> Result<(), ConnectorError> {
        self.0.push(framed);
        Ok(())
    }

    fn idle(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }
}

const SCHEMA: &str = "message m {
    required int64 id; optional binary name (UTF8); optional double x; optional int32 day (DATE);
    optional int64 at (TIMESTAMP(NANOS, true)); optional int64 ms (TIMESTAMP(MILLIS, true));
    optional fixed_len_byte_array(5) amount (DECIMAL(10, 2)); optional binary raw; }";

fn column<T: DataType>(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, values: &[T::T], present: &[i16]) {
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, (!present.is_empty()).then_some(present), None).unwrap();
    column.close().unwrap();
}

/// Groups of so many rows each; in every third row everything is null that may be.
fn file(groups: &[i64]) -> Bytes {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    let mut first = 0;
    for rows in groups {
        let mut group = writer.next_row_group().unwrap();
        let ids: Vec<i64> = (first..first + rows).collect();
        let present: Vec<i16> = ids.iter().map(|id| i16::from(id % 3 != 2)).collect();
        let some: Vec<i64> = ids.iter().copied().filter(|id| id % 3 != 2).collect();
        column::<Int64Type>(&mut group, &ids, &[]);
        let names: Vec<ByteArray> = some.iter().map(|id| format!("né {id}").as_str().into()).collect();
        column::<ByteArrayType>(&mut group, &names, &present);
        column::<DoubleType>(
            &mut group,
            &some.iter().map(|id| if *id == 1 { f64::NAN } else { 0.1 }).collect::<Vec<_>>(),
            &present,
        );
        column::<Int32Type>(&mut group, &vec![19_000; some.len()], &present);
        column::<Int64Type>(&mut group, &vec![1_700_000_000_123_456_789; some.len()], &present);
        column::<Int64Type>(&mut group, &vec![1_700_000_000_123; some.len()], &present);
        let amount = FixedLenByteArray::from(vec![0xFF, 0xFF, 0xFF, 0xFF, 0x85]);
        column::<FixedLenByteArrayType>(&mut group, &vec![amount; some.len()], &present);
        let raw: Vec<ByteArray> =
            some.iter().map(|id| if *id == 0 { vec![0xFF, 0x00].into() } else { "text".into() }).collect();
        column::<ByteArrayType>(&mut group, &raw, &present);
        group.close().unwrap();
        first += rows;
    }
    writer.into_inner().unwrap().into()
}

fn read(bytes: &Bytes, from: &Position) -> Result<Vec<Framed>, ConnectorError> {
    let input = Input::open(Arc::new(Memory(bytes.clone(), true)))?;
    let mut taken = Taken::default();
    rows(&input, from, &mut taken).map(|()| taken.0)
}

/// The position after so many rows.
fn after(rows: u64) -> Position {
    let mut position = Position::start();
    (position.end, position.number) = (rows, rows);
    position
}

fn text(framed: &Framed) -> String {
    let mut bytes = Vec::new();
    encode::write_object(&framed.payload.decode(Limits::default()).unwrap(), &mut bytes);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn rows_keep_their_values_exactly() {
    let records = read(&file(&[3, 2]), &Position::start()).unwrap();
    assert_eq!(
        records.iter().map(text).collect::<Vec<_>>(),
        [
            r#"{"id":0,"name":"né 0","x":0.1,"day":"2022-01-08","at":"2023-11-14T22:13:20.123456789Z","ms":"2023-11-14T22:13:20.123Z","amount":-1.23,"raw":"/wA="}"#,
            r#"{"id":1,"name":"né 1","x":"NaN","day":"2022-01-08","at":"2023-11-14T22:13:20.123456789Z","ms":"2023-11-14T22:13:20.123Z","amount":-1.23,"raw":"text"}"#,
            r#"{"id":2,"name":null,"x":null,"day":null,"at":null,"ms":null,"amount":null,"raw":null}"#,
            r#"{"id":3,"name":"né 3","x":0.1,"day":"2022-01-08","at":"2023-11-14T22:13:20.123456789Z","ms":"2023-11-14T22:13:20.123Z","amount":-1.23,"raw":"text"}"#,
            r#"{"id":4,"name":"né 4","x":0.1,"day":"2022-01-08","at":"2023-11-14T22:13:20.123456789Z","ms":"2023-11-14T22:13:20.123Z","amount":-1.23,"raw":"text"}"#,
        ]
    );
}

#[test]
fn it_goes_on_after_any_row() {
    let bytes = file(&[40_000, 1, 60_000]);
    let all = read(&bytes, &Position::start()).unwrap();
    assert_eq!(all.len(), 100_001);
    for end in [0, 1, 39_999, 40_000, 40_001, 99_999, 100_001] {
        let rest = read(&bytes, &after(end)).unwrap();
        let from = usize::try_from(end).unwrap();
        assert_eq!(rest.len(), all.len() - from, "{end}");
        assert!(rest.iter().zip(&all[from..]).step_by(997).all(|(a, b)| a.number == b.number && text(a) == text(b)));
    }
    assert!(bytes.len() as u64 > BLOCK, "the cache has something to do");
}

#[test]
fn what_is_no_parquet_is_refused_without_its_words() {
    let whole = file(&[100]);
    let damaged = whole.slice(..whole.len() - 20);
    let mut torn = whole.to_vec();
    torn[10..60].fill(0x55);
    for bytes in [damaged, torn.into(), Bytes::from_static(b"hello s3cret"), Bytes::new()] {
        let error = read(&bytes, &Position::start()).err().unwrap();
        assert_eq!(error.kind, ErrorKind::Corrupt, "{error}");
        assert!(error.message.starts_with("the Parquet file cannot be read"), "{error}");
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&whole).unwrap();
    assert_eq!(read(&gzip.finish().unwrap().into(), &Position::start()).err().unwrap().kind, ErrorKind::Configuration);
    let stream = Input::open(Arc::new(Memory(whole, false))).unwrap();
    assert!(rows(&stream, &Position::start(), &mut Taken::default()).is_err());
}
