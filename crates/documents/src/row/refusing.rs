//! What the serializers have in common that take only some of what serde can say.

/// Refuses the methods of a serializer which say what a value is that it has no place for.
macro_rules! does_not_fit {
    ($($method:ident($type:ty)),* $(,)?) => {
        $(fn $method(self, _: $type) -> Result<Self::Ok, WriteError> { Err(WriteError::DoesNotFit) })*
    };
}

/// Refuses everything that is made of several values, but what is left out.
macro_rules! no_parts {
    () => {
        type SerializeSeq = Impossible<Self::Ok, WriteError>;
        type SerializeTuple = Impossible<Self::Ok, WriteError>;
        type SerializeTupleStruct = Impossible<Self::Ok, WriteError>;
        type SerializeTupleVariant = Impossible<Self::Ok, WriteError>;
        type SerializeStructVariant = Impossible<Self::Ok, WriteError>;

        fn is_human_readable(&self) -> bool {
            true
        }

        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<Self::Ok, WriteError> {
            Err(WriteError::DoesNotFit)
        }

        fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, WriteError> {
            Err(WriteError::DoesNotFit)
        }

        fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, WriteError> {
            Err(WriteError::DoesNotFit)
        }

        fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, WriteError> {
            Err(WriteError::DoesNotFit)
        }

        fn serialize_tuple_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleVariant, WriteError> {
            Err(WriteError::DoesNotFit)
        }

        fn serialize_struct_variant(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStructVariant, WriteError> {
            Err(WriteError::DoesNotFit)
        }

        /// A name that the MessagePack serialiser takes for a sign of something else.
        fn serialize_newtype_struct<T: Serialize + ?Sized>(
            self,
            name: &'static str,
            value: &T,
        ) -> Result<Self::Ok, WriteError> {
            if name == rmp_serde::MSGPACK_EXT_STRUCT_NAME {
                return Err(WriteError::DoesNotFit);
            }
            value.serialize(self)
        }

        fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Self::Ok, WriteError> {
            value.serialize(self)
        }

        fn serialize_unit_struct(self, _: &'static str) -> Result<Self::Ok, WriteError> {
            Err(WriteError::DoesNotFit)
        }
    };
}

macro_rules! neither_struct_nor_map {
    () => {
        type SerializeMap = Impossible<Self::Ok, WriteError>;
        type SerializeStruct = Impossible<Self::Ok, WriteError>;

        fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, WriteError> {
            Err(WriteError::DoesNotFit)
        }

        fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, WriteError> {
            Err(WriteError::DoesNotFit)
        }
    };
}

pub(super) use {does_not_fit, neither_struct_nor_map, no_parts};
